package freeport_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/engine/embedded/freeport"
)

func TestTake(t *testing.T) {
	t.Parallel()
	ports, err := freeport.Take(t.Context(), 0, 0, 0, 0)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, port := range ports {
		require.False(t, seen[port], "port %d twice", port)
		seen[port] = true
	}

	listener, err := net.Listen("tcp", freeport.Address(ports[0]))
	require.NoError(t, err, "a port that was found can be listened on")
	defer func() { require.NoError(t, listener.Close()) }()

	_, err = freeport.Take(t.Context(), ports[0])
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	again, err := freeport.Take(t.Context(), ports[1], 0)
	require.NoError(t, err)
	require.Equal(t, ports[1], again[0])
}

package main

import (
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/config"
)

// API and worker of one machine start with the same environment (CONTRACT §2).
func TestAWorkerStartsBesideTheAPI(t *testing.T) {
	t.Parallel()
	api, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, api.Close()) })
	taken := api.Addr().String()

	beside, err := listenBeside(&config.Server{Listen: taken}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NotEqual(t, taken, beside.Addr().String())
	require.NoError(t, beside.Close())

	_, err = listenBeside(&config.Server{Listen: "127.0.0.1:1", MetricsListen: taken}, slog.New(slog.DiscardHandler))
	require.Error(t, err, "somebody has said where")
	free, err := listenBeside(&config.Server{Listen: "127.0.0.1:0"}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, free.Close())
}

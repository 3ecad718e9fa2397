package embedded_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func portOf(t testing.TB, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return port
}

package wire

import "net"

// Loopback reports whether what is sent to host stays on this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// Package freeport finds TCP ports on the loopback for servers that must be told theirs before they listen.
package freeport

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
)

// Host is the only address that ports are looked for on.
const Host = "127.0.0.1"

// The free ports are chosen below those that the kernel gives to outgoing connections (from 32768 on Linux, 49152
// elsewhere): one of these could be taken by any connection before the server listens.
const lowest, highest = 15_000, 30_000

// Take returns the wanted ports of 127.0.0.1 with every zero replaced by a free one, no two alike. Nothing holds them
// when it returns: another process can still be faster, though a random choice of 15,000 makes that rare.
//
// Errors: a wanted port is taken (syscall.EADDRINUSE); ctx done.
func Take(ctx context.Context, wanted ...int) ([]int, error) {
	ports := make([]int, len(wanted))
	// All are held until all are found, so that none is found twice.
	var held []net.Listener
	defer func() {
		for _, listener := range held {
			_ = listener.Close()
		}
	}()
	for i, port := range wanted {
		for try := 0; ; try++ {
			candidate := port
			if port == 0 {
				candidate = lowest + rand.IntN(highest-lowest)
			}
			listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", Address(candidate))
			if err == nil {
				held, ports[i] = append(held, listener), candidate
				break
			}
			if port != 0 || try == 100 || ctx.Err() != nil {
				return nil, err
			}
		}
	}
	return ports, nil
}

// Address is the HOST:PORT of a port on the loopback.
func Address(port int) string { return net.JoinHostPort(Host, strconv.Itoa(port)) }

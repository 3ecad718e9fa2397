//go:build !unix

package embedded

import "os"

// lock opens the file; where there is no flock, that nobody else uses the data is left to the caller.
func lock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

package contract

import "slices"

// Heard is a command, or a fact with an operation id, that a callback has
// accepted. The engine knows the update ids of one run only, and no ids of
// signals at all; what is repeated in a later run is recognised by this, so that
// the same key gives the first answer again (CONTRACT §4).
type Heard struct {
	// ID of the update, or the operation id of the signal.
	ID     string `json:"id"`
	Digest string `json:"digest,omitempty"`
	// Version that it led to.
	Version int64 `json:"version"`
}

// Memory is what a callback has heard, the oldest first.
type Memory []Heard

// MemoryMost is how much is remembered: about 100 kB of a run's input, of the
// 2 MB that the engine takes. Whoever repeats a request does so because it has no
// answer: within minutes, not after a thousand other commands.
const MemoryMost = 1000

// Of finds what was heard under an id.
func (m Memory) Of(id string) (Heard, bool) {
	i := slices.IndexFunc(m, func(h Heard) bool { return h.ID == id })
	if i < 0 || id == "" {
		return Heard{}, false
	}
	return m[i], true
}

// With remembers one more; of too many the oldest are forgotten.
func (m Memory) With(h Heard) Memory {
	if h.ID == "" {
		return m
	}
	m = append(m, h)
	return m[max(0, len(m)-MemoryMost):]
}

package servicebench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"ringback/connectors"
)

// register is a value in Memory that many may change at once, each from what it
// is to what it becomes, and none unknowingly.
//
// Earlier releases kept each value under a key of its own, Key#N, and the number of
// the last one under Key: that is read still, and put right when it changes.
type register[T any] struct {
	memory connectors.Memory
	key    string
}

// version is a value as it was loaded: how many there were before it, 0 is none.
type version struct {
	number int
	raw    string // what stands under the key; empty: nothing
	apart  bool   // its values have keys of their own
}

// entry is what stands under the key.
type entry[T any] struct {
	Number int `json:"number"`
	Value  T   `json:"value"`
}

// load returns the newest value, and which it is.
func (r register[T]) load(ctx context.Context) (value T, at version, err error) {
	raw, found, err := r.memory.Recall(ctx, name, r.key)
	if err != nil {
		return value, at, err
	}
	at.raw = raw
	if !strings.HasPrefix(raw, "{") {
		return r.loadApart(ctx, at, found)
	}
	var e entry[T]
	if err := json.Unmarshal([]byte(raw), &e); err != nil {
		return value, at, fmt.Errorf("what is remembered of %s: %w", r.key, err)
	}
	at.number = e.Number
	return e.Value, at, nil
}

func (r register[T]) loadApart(ctx context.Context, at version, found bool) (value T, _ version, err error) {
	at.number, _ = strconv.Atoi(at.raw) // a hint only; none yet: 0
	raw := ""
	for n := max(at.number, 1); ; n++ {
		next, there, err := r.memory.Recall(ctx, name, r.numbered(n))
		if err != nil {
			return value, at, err
		}
		if !there {
			break
		}
		raw, at.number, at.apart = next, n, true
	}
	switch {
	case raw == "" && found:
		return value, at, fmt.Errorf("what is remembered of %s is not there", r.key)
	case raw == "":
		return value, at, nil
	}
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		return value, at, fmt.Errorf("what is remembered of %s: %w", r.key, err)
	}
	return value, at, nil
}

// store makes value the one after at. False: another one is there already.
func (r register[T]) store(ctx context.Context, at version, value T) (done bool, err error) {
	raw, err := json.Marshal(entry[T]{at.number + 1, value})
	if err != nil {
		return false, err
	}
	if at.raw == "" {
		_, done, err = r.memory.Claim(ctx, name, r.key, string(raw))
	} else {
		done, err = r.memory.Replace(ctx, name, r.key, at.raw, string(raw))
	}
	if err != nil || !done || !at.apart {
		return done, err
	}
	for n := at.number; n > 0; n-- {
		if err := r.memory.Forget(ctx, name, r.numbered(n)); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (r register[T]) numbered(number int) string { return r.key + "#" + strconv.Itoa(number) }

// digest is a short key of things that may be long.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

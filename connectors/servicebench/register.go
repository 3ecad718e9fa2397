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
// is to what it becomes, and none unknowingly: every value has a number, and
// each number is claimed once. Key#N is the Nth value, and Key itself a hint
// which is the last.
type register[T any] struct {
	memory connectors.Memory
	key    string
}

// load returns the newest value and its number; 0: there is none.
func (r register[T]) load(ctx context.Context) (value T, number int, err error) {
	hint, _, err := r.memory.Recall(ctx, name, r.key)
	if err != nil {
		return value, 0, err
	}
	number, _ = strconv.Atoi(hint) // none yet: 0
	raw := ""
	for {
		next, found, err := r.memory.Recall(ctx, name, r.numbered(number+1))
		if err != nil {
			return value, 0, err
		}
		if !found {
			break
		}
		raw, number = next, number+1
	}
	if number == 0 {
		return value, 0, nil
	}
	if raw == "" {
		if raw, _, err = r.memory.Recall(ctx, name, r.numbered(number)); err != nil {
			return value, 0, err
		}
	}
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		return value, 0, fmt.Errorf("what is remembered of %s: %w", r.key, err)
	}
	return value, number, nil
}

// store makes value the one after number. False: another one is there already.
func (r register[T]) store(ctx context.Context, number int, value T) (bool, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return false, err
	}
	if _, first, err := r.memory.Claim(ctx, name, r.numbered(number+1), string(raw)); err != nil || !first {
		return false, err
	}
	return true, r.memory.Remember(ctx, name, r.key, strconv.Itoa(number+1))
}

func (r register[T]) numbered(number int) string { return r.key + "#" + strconv.Itoa(number) }

// digest is a short key of things that may be long.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

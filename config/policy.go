package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"ringback/callback"
)

// Hash names a policy by its content: the SHA-256, in hexadecimal, of its
// canonical JSON, whose keys are sorted and which has no spaces. It does not
// depend on how the file is written or on the order of a struct's fields, and a
// policy with one default spelt out has the same.
func Hash(p *callback.Policy) string {
	sum := sha256.Sum256(canonical(p))
	return hex.EncodeToString(sum[:])
}

func canonical(p *callback.Policy) []byte {
	written, err := json.Marshal(p)
	var plain any
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(written))
		decoder.UseNumber()
		err = decoder.Decode(&plain)
	}
	var out bytes.Buffer
	if err == nil {
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(plain) // sorts the keys of maps
	}
	if err != nil {
		panic("config: a policy is plain data: " + err.Error()) // strings, numbers, maps of them
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Accelerate returns a copy of a policy for a demonstration: every duration is
// divided by the factor and then at least 1s, and the policy is around the
// clock. 1200 turns a TAT of 1h into 3s. Warnings given in percent stay as they
// are, of the others those that no longer precede the deadline are left out.
func Accelerate(p *callback.Policy, by float64) *callback.Policy {
	fast := *p
	fast.Calendar = nil
	faster := func(d callback.Duration) callback.Duration {
		if d <= 0 {
			return 0
		}
		quick := time.Duration(float64(d) / by).Round(time.Millisecond)
		return callback.Duration(max(quick, shortestDuration))
	}
	fast.Ladder = slices.Clone(p.Ladder)
	for i := range fast.Ladder {
		s := &fast.Ladder[i]
		s.QueueByLOB = maps.Clone(s.QueueByLOB)
		s.TAT, s.StartWithin = faster(s.TAT), faster(s.StartWithin)
		var warnings []callback.Warning
		for _, w := range s.WarnAt {
			if !strings.HasSuffix(string(w), "%") {
				before, err := time.ParseDuration(string(w))
				if err != nil {
					continue
				}
				w = callback.Warning(faster(callback.Duration(before)).String())
			}
			if _, err := w.After(s.TAT); err == nil {
				warnings = append(warnings, w)
			}
		}
		s.WarnAt = warnings
	}
	if p.Overdue != nil {
		fast.Overdue = &callback.ChaseRule{Every: faster(p.Overdue.Every), Max: faster(p.Overdue.Max)}
	}
	hold := p.HoldMax
	if hold == 0 {
		hold = callback.DefaultHoldMax
	}
	fast.CloseWithin, fast.HoldMax, fast.Attempts.Spacing = faster(p.CloseWithin), faster(hold), faster(p.Attempts.Spacing)
	return &fast
}

// Accelerate returns a copy of the configuration whose policies are accelerated.
func (c *Config) Accelerate(by float64) *Config {
	fast := *c
	fast.Policies = make(map[string]*callback.Policy, len(c.Policies))
	for name, p := range c.Policies {
		fast.Policies[name] = Accelerate(p, by)
	}
	return &fast
}

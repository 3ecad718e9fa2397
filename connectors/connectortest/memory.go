// Package connectortest has what the tests of connectors share: a desk in memory
// that runs the real rules and gives connectors what the real one would, memory
// and kept messages beside it, and a server whose faults are scripted.
package connectortest

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"ringback/connectors"
)

// Memory implements connectors.Memory.
type Memory struct {
	mu     sync.Mutex
	values map[[2]string]string
	// Fail, if set, is what every call answers.
	Fail error
}

// Recall implements connectors.Memory.
func (m *Memory) Recall(_ context.Context, connector, key string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, found := m.values[[2]string{connector, key}]
	return value, found && m.Fail == nil, m.Fail
}

// Remember implements connectors.Memory.
func (m *Memory) Remember(_ context.Context, connector, key, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		return m.Fail
	}
	m.put(connector, key, value)
	return nil
}

func (m *Memory) put(connector, key, value string) {
	if m.values == nil {
		m.values = map[[2]string]string{}
	}
	m.values[[2]string{connector, key}] = value
}

// Claim implements connectors.Memory.
func (m *Memory) Claim(_ context.Context, connector, key, value string) (string, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		return "", false, m.Fail
	}
	if existing, taken := m.values[[2]string{connector, key}]; taken {
		return existing, false, nil
	}
	m.put(connector, key, value)
	return value, true, nil
}

// Forget implements connectors.Memory.
func (m *Memory) Forget(_ context.Context, connector, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, [2]string{connector, key})
	return m.Fail
}

// Len is how much is remembered.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values)
}

// Kept implements connectors.Kept.
type Kept struct {
	mu  sync.Mutex
	all []connectors.Message
}

// Keep implements connectors.Kept.
func (k *Kept) Keep(_ context.Context, m connectors.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.ID == "" {
		m.ID = "kept-" + strconv.Itoa(len(k.all)+1)
	}
	m.Body = slices.Clone(m.Body)
	if i := slices.IndexFunc(k.all, func(kept connectors.Message) bool { return kept.ID == m.ID }); i >= 0 {
		k.all[i].Reason = m.Reason
		return nil
	}
	k.all = append(k.all, m)
	return nil
}

// All are the messages that were kept, in order.
func (k *Kept) All() []connectors.Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.all)
}

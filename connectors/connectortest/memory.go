package connectortest

import (
	"context"
	"strings"
	"sync"

	"ringback/callback"
	"ringback/connectors"
)

// Memory is a connectors.Memory that lasts as long as the test.
type Memory struct {
	mu     sync.Mutex
	values map[[2]string]string
	fail   error
}

// NewMemory returns one that remembers nothing yet.
func NewMemory() *Memory { return &Memory{values: map[[2]string]string{}} }

// Fail makes every call fail with err, until it is nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Keys are how many keys of a connector begin with prefix.
func (m *Memory) Keys(connector, prefix string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.values {
		if k[0] == connector && strings.HasPrefix(k[1], prefix) {
			n++
		}
	}
	return n
}

// Recall implements connectors.Memory.
func (m *Memory) Recall(_ context.Context, connector, key string) (value string, found bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return "", false, m.fail
	}
	value, found = m.values[[2]string{connector, key}]
	return value, found, nil
}

// Remember implements connectors.Memory.
func (m *Memory) Remember(_ context.Context, connector, key, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		m.values[[2]string{connector, key}] = value
	}
	return m.fail
}

// Claim implements connectors.Memory.
func (m *Memory) Claim(_ context.Context, connector, key, value string) (existing string, first bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return "", false, m.fail
	}
	k := [2]string{connector, key}
	if existing, found := m.values[k]; found {
		return existing, false, nil
	}
	m.values[k] = value
	return value, true, nil
}

// Replace implements connectors.Memory.
func (m *Memory) Replace(_ context.Context, connector, key, was, value string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := [2]string{connector, key}
	if now, found := m.values[k]; m.fail != nil || !found || now != was {
		return false, m.fail
	}
	m.values[k] = value
	return true, nil
}

// Forget implements connectors.Memory.
func (m *Memory) Forget(_ context.Context, connector, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		delete(m.values, [2]string{connector, key})
	}
	return m.fail
}

// Kept is a connectors.Kept whose messages can be looked at.
type Kept struct {
	mu       sync.Mutex
	messages []connectors.Message
	fail     error
}

// Fail makes every call fail with err, until it is nil.
func (k *Kept) Fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = err
}

// Keep implements connectors.Kept: the same ID again is the same message.
func (k *Kept) Keep(_ context.Context, m connectors.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	for i := range k.messages {
		if m.ID != "" && k.messages[i].ID == m.ID {
			k.messages[i].Reason = m.Reason
			return nil
		}
	}
	if m.Received.IsZero() {
		m.Received = callback.At(Monday)
	}
	k.messages = append(k.messages, m)
	return nil
}

// Messages are those that are kept, in order.
func (k *Kept) Messages() []connectors.Message {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]connectors.Message(nil), k.messages...)
}

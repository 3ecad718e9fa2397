package connectortest

import (
	"context"

	"ringback/connectors"
)

// Fickle is a desk of which some promises fail.
type Fickle struct {
	connectors.Desk
	// After: they are made all the same, and only the answer is lost.
	After bool
	// Fails says which, and how; nil: not this one.
	Fails func(connectors.Promise) error
}

// Promise implements connectors.Desk.
func (f *Fickle) Promise(ctx context.Context, connector, key string, p connectors.Promise) (string, error) {
	err := f.Fails(p)
	if err != nil && !f.After {
		return "", err
	}
	id, made := f.Desk.Promise(ctx, connector, key, p)
	if err != nil {
		return "", err
	}
	return id, made
}

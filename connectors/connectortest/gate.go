package connectortest

import (
	"net/http"

	"ringback/callback"
	"ringback/connectors"
)

// Gate counts the requests that prove where they come from, and lets no more in
// when it is Full.
type Gate struct {
	Proven int
	Full   bool
}

// At is the request as the desk hands it on.
func (g *Gate) At(r *http.Request) *http.Request {
	return r.WithContext(connectors.WithAdmission(r.Context(), func() *callback.Fault {
		g.Proven++
		if g.Full {
			return &callback.Fault{Code: callback.CodeRateLimited, Detail: "slow down"}
		}
		return nil
	}))
}

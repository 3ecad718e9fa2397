// Package api is the desk's HTTP surface (CONTRACT §4): Gin routes described to
// huma, which publishes them as OpenAPI 3.1 and checks what is sent against it.
//
// The package translates and decides nothing: a request becomes a command, a
// command's refusal becomes a problem+json, a callback becomes JSON. What may
// happen is said in package callback, what has happened is read from the book.
package api

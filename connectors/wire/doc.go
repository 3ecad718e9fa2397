// Package wire is what every connector does on the wire in the same way:
// calls with one limit for all of them, learnt from the answers; causes of
// failures without addresses and secrets; refusals of inbound requests as
// problem+json.
package wire

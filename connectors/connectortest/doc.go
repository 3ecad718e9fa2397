// Package connectortest stands in for the desk when connectors are tested: a
// desk in memory that keeps the real rules of package callback, a memory, a
// keeper of messages, a clock, and a pump that delivers events in order as the
// outbox does.
package connectortest

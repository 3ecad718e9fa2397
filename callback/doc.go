// Package callback holds the rules of the floor: what may happen to a promised
// callback, when it is due, and who may do it.
//
// It is pure. Nothing in it reads a clock, a database or a network, and it
// imports the standard library only, so the same rules decide inside the
// durable workflow, in the API (which commands to offer) and in an audit.
//
// A [Callback] is the fold of its [Event]s. A [Command] is decided against the
// state by [Callback.Do]; the clock is decided by [Callback.Advance]; either
// yields events, or refuses with a [Fault] that names its rule.
package callback

package book

import (
	"fmt"

	"ringback/callback"
)

// Erasure is that what was personal about a callback has been emptied (R26). It
// is an original, in no history: the last thing on the callback's timeline
// that anybody did.
type Erasure struct {
	// By is the staff id of the administrator.
	By     string
	At     callback.Instant
	Ground Ground
	// After is the number of the entry of the timeline that it follows on.
	After int64
}

// Ground is why a customer was erased. It is one of a few, and no free text: that
// would be one more place for what must not be kept.
type Ground string

// The grounds, as Article 17 (1) of the GDPR has them.
const (
	GroundRequest      Ground = "request"          // the customer asked for it, withdrew consent, or objected
	GroundNotNeeded    Ground = "no_longer_needed" // kept for as long as its purpose took
	GroundUnlawful     Ground = "unlawful"         // it should never have been kept
	GroundLegallyBound Ground = "legal_obligation"
)

// Grounds lists every ground.
var Grounds = []Ground{GroundRequest, GroundNotNeeded, GroundUnlawful, GroundLegallyBound}

// Erase asks to erase the customer of a callback, with all of the customer's callbacks.
type Erase struct {
	CallbackID string
	By         string
	At         callback.Instant
	Ground     Ground
	// SettledBy: what closed before it has told other systems all there was to tell,
	// even where the archive has never had its history.
	SettledBy callback.Instant
	// Check refuses before anything is looked at besides the callback itself; nil: nothing.
	Check func(View) error
	// Redact takes what is personal out of a stored answer to a command.
	Redact func(command string, answer []byte) ([]byte, error)
	// Conclude makes the errand that is written with it, with its answer; nil: none.
	Conclude func(Erased) (*Errand, error)
}

// Erased is what an erasure came to.
type Erased struct {
	// Callbacks that were emptied now; 0: it had been done before.
	Callbacks int
	// Left are callbacks to the same phone number that are another customer's, by
	// their reference, and are as they were.
	Left int
}

// NotErasableError refuses to erase a customer for now.
type NotErasableError struct {
	// CallbackID is the callback that is in the way.
	CallbackID string
	Why        NotErasable
	// Destination is the system that something is owed to.
	Destination string
}

// NotErasable is why a customer cannot be erased yet.
type NotErasable string

// Why a customer cannot be erased yet.
const (
	// StillOpen: the customer is still to be called, and cannot be without a number.
	StillOpen NotErasable = "open"
	// StillOwed: another system is still to be told, and cannot be without its reference.
	StillOwed NotErasable = "owed"
	// StillClosing: it closed a moment ago, and its history is on its way into the archive.
	StillClosing NotErasable = "closing"
)

// Error implements error.
func (e *NotErasableError) Error() string {
	return fmt.Sprintf("callback %s is in the way: %s", e.CallbackID, e.Why)
}

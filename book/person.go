package book

import (
	"errors"
	"slices"

	"ringback/callback"
)

// Person is somebody of the staff, or who was, as administrators see them.
type Person struct {
	Staff
	// Inactive: they no longer work here. What they did keeps their id.
	Inactive bool
	// Version counts the changes of this person, from 1.
	Version int64
	// Origin is where they were first heard of.
	Origin Origin
	// Pinned are the attributes that an administrator has set; neither the file nor
	// the sign-in changes those.
	Pinned []Attribute
	// Subject is whom at the identity provider they sign in as; empty: nobody yet.
	Subject string
}

// Origin is where a person was first heard of.
type Origin string

// The origins.
const (
	OriginFile   Origin = "file"
	OriginSignIn Origin = "sign_in"
	OriginAdmin  Origin = "admin"
)

// Attribute names what can be said of a person.
type Attribute string

// The attributes.
const (
	AttributeName       Attribute = "name"
	AttributeTier       Attribute = "tier"
	AttributeQueues     Attribute = "queues"
	AttributeCapacity   Attribute = "capacity"
	AttributeReportsTo  Attribute = "reports_to"
	AttributeShift      Attribute = "shift"
	AttributeIdentities Attribute = "identities"
	AttributeRoles      Attribute = "roles"
	AttributeActive     Attribute = "active"
)

// Attributes lists every attribute.
var Attributes = []Attribute{
	AttributeName, AttributeTier, AttributeQueues, AttributeCapacity, AttributeReportsTo, AttributeShift, AttributeIdentities,
	AttributeRoles, AttributeActive,
}

// Set gives a person these attributes of another, and pins them.
func (p *Person) Set(from Person, which []Attribute) {
	for _, a := range which {
		p.set(from, a)
		if !slices.Contains(p.Pinned, a) {
			p.Pinned = append(slices.Clone(p.Pinned), a)
		}
	}
}

// Take gives a person those of these attributes that are not pinned.
func (p *Person) Take(from Person, which []Attribute) {
	for _, a := range which {
		if !slices.Contains(p.Pinned, a) {
			p.set(from, a)
		}
	}
}

func (p *Person) set(from Person, a Attribute) {
	switch a {
	case AttributeName:
		p.Name = from.Name
	case AttributeTier:
		p.Tier, p.Rank = from.Tier, from.Rank
	case AttributeQueues:
		p.Queues = from.Queues
	case AttributeCapacity:
		p.Capacity = from.Capacity
	case AttributeReportsTo:
		p.ReportsTo = from.ReportsTo
	case AttributeShift:
		p.Shift, p.ShiftName = from.Shift, from.ShiftName
	case AttributeIdentities:
		p.Identities = from.Identities
	case AttributeRoles:
		p.Roles = from.Roles
	case AttributeActive:
		p.Inactive = from.Inactive
	}
}

// Unpin gives these attributes back to the file or the sign-in; they change
// when that next speaks.
func (p *Person) Unpin(which []Attribute) {
	p.Pinned = slices.DeleteFunc(slices.Clone(p.Pinned), func(a Attribute) bool { return slices.Contains(which, a) })
}

// Meeting is somebody who has just proved at the provider who they are.
type Meeting struct {
	// Subject is whom the provider says it is, with the provider's own name: it
	// never changes, and never becomes somebody else's.
	Subject string
	// Person has the id that they would have here, and what is claimed of them.
	Person Person
	// Claimed are the attributes that the claims speak of.
	Claimed []Attribute
}

// Errors of a meeting.
var (
	// ErrSomebodyElse: this staff id is another subject's.
	ErrSomebodyElse = errors.New("somebody else signs in as this person")
	// ErrNobodyHere: they do not work here, and nothing is claimed that would make them.
	ErrNobodyHere = errors.New("nobody who works here")
)

// Roster is everybody, for whoever changes one of them.
type Roster struct {
	People []Person
	// Assigned is how many open callbacks the person who changes has.
	Assigned int
}

// Person finds somebody; nil: there is no such person.
func (r *Roster) Person(id string) *Person {
	for i := range r.People {
		if r.People[i].ID == id {
			return &r.People[i]
		}
	}
	return nil
}

// Key is an API key of a system: what is kept of it.
type Key struct {
	// ID is the public part of the key.
	ID string
	// Name of the system; several keys may have the same, so that one can follow another.
	Name   string
	Scopes []string
	// Hash is the SHA-256 of the secret part, which is kept nowhere.
	Hash       []byte
	CreatedAt  callback.Instant
	CreatedBy  string
	ExpiresAt  callback.Instant
	LastUsedAt callback.Instant // zero: never
	RevokedAt  callback.Instant // zero: it is not
	RevokedBy  string
}

// Good reports whether the key opens anything at an instant.
func (k *Key) Good(now callback.Instant) bool {
	return k.RevokedAt.IsZero() && !k.ExpiresAt.Reached(now)
}

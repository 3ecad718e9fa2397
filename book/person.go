package book

import "slices"

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

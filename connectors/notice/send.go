package notice

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
	"ringback/connectors/smtp"
	"ringback/connectors/wire"
)

const (
	// tick is how often those are looked at who have something new; sweep how often everybody
	// is: other processes write things down too, and shifts begin.
	tick  = 2 * time.Second
	sweep = 20 * time.Second
	// settling is what a first notice waits for others that come of the same moment.
	settling = 5 * time.Second
	// refusedFor is how long nothing is sent to an address that was refused, notNowFor to one
	// that was refused for now: a server that greylists wants to be asked again after minutes.
	refusedFor, notNowFor = time.Hour, 5 * time.Minute
	// lostAfter is when what cannot be sent to one address is given up.
	lostAfter = 3 * 24 * time.Hour
)

// Run implements connectors.Runner: it sends what is written down until ctx is done.
func (c *Connector) Run(ctx context.Context) error {
	swept, said := time.Time{}, ""
	for ctx.Err() == nil {
		now := c.deps.Now()
		everybody := now.Sub(swept) >= sweep || now.Before(swept)
		if everybody {
			swept = now
		}
		err := c.round(ctx, everybody)
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said: // the same trouble is told once
			said = err.Error()
			c.deps.Logger.WarnContext(ctx, "notices wait", "error", err)
		}
		pause := tick
		if err != nil {
			pause = max(pause, min(wire.OwedAs(err).RetryAfter, time.Minute), 10*time.Second)
		}
		if c.deps.Sleep(ctx, pause) != nil {
			return nil //nolint:nilerr // it is asked to end
		}
	}
	return nil
}

// round sends everybody, or those who have something new, what may be sent now. Trouble
// that is not one person's alone ends it.
func (c *Connector) round(ctx context.Context, everybody bool) error {
	c.mu.Lock()
	fresh := c.fresh
	c.fresh = map[string]bool{}
	c.mu.Unlock()
	if !everybody && len(fresh) == 0 {
		return nil
	}
	staff, err := c.deps.Desk.Staff(ctx)
	if err != nil {
		c.again(fresh)
		return fmt.Errorf("reading the staff: %w", err)
	}
	for i := range staff {
		s := &staff[i]
		if address(s) == "" || (!everybody && !fresh[s.ID]) {
			continue
		}
		later, err := c.send(ctx, s)
		if later {
			c.again(map[string]bool{s.ID: true})
		}
		if err != nil {
			c.again(fresh)
			return err
		}
	}
	return nil
}

func (c *Connector) again(who map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(c.fresh, who)
}

// send sends one person what there is, if it may be sent now. later: there is more to
// be looked at soon.
func (c *Connector) send(ctx context.Context, s *book.Staff) (later bool, err error) {
	now := c.deps.Now()
	l := c.list(s.ID)
	head, end, entries, err := l.bundle(ctx)
	if err != nil {
		return false, err
	}
	if head == end {
		return false, l.forget(ctx, head, now)
	}
	if len(entries) == 0 { // all of it was sent before
		return true, l.setPlace(ctx, "head", end)
	}
	if !c.config.AnyTime && s.Shift != nil && !s.Shift.Open(now) {
		return false, nil // the next shift begins in its own time
	}
	last, err := l.last(ctx)
	if err != nil {
		return false, err
	}
	if (now.Before(last.Add(c.config.Every)) && !now.Before(last)) || now.Before(entries[0].Added.Add(settling)) {
		return true, nil
	}
	c.mu.Lock()
	refused := now.Before(c.after[s.ID])
	c.mu.Unlock()
	if refused {
		return false, nil
	}
	if err := l.begin(ctx, end); err != nil {
		return false, err
	}
	err = c.config.Post.Send(ctx, c.compose(s, head, entries))
	switch {
	case errors.Is(err, smtp.ErrAddress):
		return false, c.refused(ctx, l, end, entries, now, err)
	case wire.Is(err, connectors.Rejected):
		return false, errors.Join(c.refused(ctx, l, end, entries, now, err), c.setTrouble(ctx, err))
	case err != nil:
		return false, errors.Join(err, c.setTrouble(ctx, err))
	}
	if err = l.sent(ctx, end, entries, callback.At(c.deps.Now())); err != nil {
		return false, err
	}
	c.deps.Logger.InfoContext(ctx, "notices were sent", "staff", s.ID, "count", len(entries))
	return true, errors.Join(c.setTrouble(ctx, nil), l.forget(ctx, head, now))
}

// refused leaves a person's address alone for a while. What nobody could take for days is
// given up: the desk shows it all the same.
func (c *Connector) refused(ctx context.Context, l list, end int64, entries []entry, now time.Time, cause error) error {
	wait := refusedFor
	if wire.OwedAs(cause).Code.Passing() {
		wait = notNowFor
	}
	c.mu.Lock()
	c.after[l.person] = now.Add(wait)
	c.mu.Unlock()
	lost := entries[0].Added.Add(lostAfter).Before(now)
	c.deps.Logger.WarnContext(ctx, "the mail server refuses what is for one person", "staff", l.person, "given_up", lost, "error", cause)
	if !lost {
		return nil
	}
	return l.sent(ctx, end, entries, callback.At(now))
}

// compose writes the mail about entries. The first place of them makes its id: sent
// again, it is the same mail.
func (c *Connector) compose(s *book.Staff, head int64, entries []entry) smtp.Mail {
	zone := time.UTC
	if s.Shift != nil {
		if z, err := time.LoadLocation(s.Shift.TimeZone); err == nil {
			zone = z
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d", s.ID, head))
	return smtp.Mail{
		To: address(s), Subject: subject(entries, zone), Text: c.text(entries, zone),
		MessageID: "notice." + hex.EncodeToString(sum[:12]) + "@" + c.config.Post.Domain(),
	}
}

// order is that in which types are counted in a subject: what is worst first.
var order = []callback.EventType{
	callback.TypeBreached, callback.TypeReminded, callback.TypeEscalated, callback.TypeWarned, callback.TypeAssigned, callback.TypeCompleted,
}

// subject says what a mail is about; nothing of any customer is in it.
func subject(entries []entry, zone *time.Location) string {
	if len(entries) == 1 {
		return fmt.Sprintf("%s: %s", entries[0].Policy, entries[0].headline(zone))
	}
	counts := make(map[callback.EventType]int)
	callbacks := map[string]bool{}
	for _, e := range entries {
		counts[e.Type]++
		callbacks[e.Callback] = true
	}
	var parts []string
	for _, t := range order {
		if counts[t] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[t], t))
		}
	}
	what := "callbacks"
	if len(callbacks) == 1 {
		what = "callback"
	}
	return fmt.Sprintf("%d %s: %s", len(callbacks), what, strings.Join(parts, ", "))
}

// headline says what happened, in a few words.
func (e entry) headline(zone *time.Location) string {
	due := clock(e.Due, zone)
	switch e.Type { //nolint:exhaustive // nobody is told of the others
	case callback.TypeWarned:
		if e.Words != "" {
			return "as many attempts as planned were made"
		}
		return "due at " + due
	case callback.TypeBreached:
		return "missed, was due at " + due
	case callback.TypeEscalated:
		return "escalated to " + e.Tier + ", due at " + due
	case callback.TypeReminded:
		return fmt.Sprintf("still open, reminder %d", e.Number)
	case callback.TypeAssigned:
		return "assigned to you, due at " + due
	case callback.TypeCompleted:
		return "completed: " + e.Words
	}
	return string(e.Type)
}

func clock(at callback.Instant, zone *time.Location) string {
	return at.In(zone).Format("15:04 MST on 2 January")
}

// text tells what happened, callback by callback, in the order in which each was first heard of.
func (c *Connector) text(entries []entry, zone *time.Location) string {
	byCallback := map[string][]entry{}
	var ids []string
	for _, e := range entries {
		if byCallback[e.Callback] == nil {
			ids = append(ids, e.Callback)
		}
		byCallback[e.Callback] = append(byCallback[e.Callback], e)
	}
	var out strings.Builder
	for _, id := range ids {
		of := byCallback[id]
		slices.SortStableFunc(of, func(a, b entry) int { return cmp.Compare(a.At.UnixMilli(), b.At.UnixMilli()) })
		newest := of[len(of)-1]
		fmt.Fprintf(&out, "%s, in the queue %s\n", newest.Policy, newest.Queue)
		for _, e := range of {
			fmt.Fprintf(&out, "  %s  %s\n", e.At.In(zone).Format("15:04"), e.headline(zone))
		}
		if c.config.Link != "" {
			fmt.Fprintf(&out, "  %s\n", strings.ReplaceAll(c.config.Link, "{id}", id))
		} else {
			fmt.Fprintf(&out, "  callback %s\n", id)
		}
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, "Times are those of %s. The desk always shows how things stand now.\n", zone)
	return out.String()
}

var _ connectors.Runner = (*Connector)(nil)

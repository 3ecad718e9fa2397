package store_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/store"
)

// marked is a customer everything about whom can be recognized.
var marked = book.Intake{
	Customer: book.Customer{
		Ref: "markref77", Name: "Markname Zyxley", Phone: "+919123450077", Email: "markmail@example.com", TimeZone: "Asia/Kolkata",
	},
	Reason: "markreason of the call", Source: &book.Source{System: "servicebench", Ref: "markticket9", URL: "https://example.com/markurl"},
	Transfer: &book.TransferAttempt{Tier: "supervisor", Outcome: "markoutcome"},
	Fields:   map[string]string{"order_number": "markfield1", "markfieldname": "x"},
}

// marks are what nothing may be left of, in small letters.
var marks = []string{
	"mark", "zyxley", "9123450077", "912345 0077",
	hex.EncodeToString([]byte("mark")), // as PostgreSQL writes bytes
}

// closedFor is a callback of the marked customer with texts, settled as the desk does
// and closed, its history in the archive.
func closedFor(t testing.TB, s *store.Store, change ...func(*book.Intake)) *life {
	t.Helper()
	l := opened(t, noon, append([]func(*book.Intake){func(i *book.Intake) {
		id := i.CallbackID
		by, at := i.RequestedBy, i.RequestedAt
		*i = marked
		i.CallbackID, i.Policy, i.PolicyHash, i.RequestedBy, i.RequestedAt, i.LOB = id, "supervisor-callback", "hash", by, at, "flights"
		i.Fields = maps.Clone(marked.Fields)
		source := *marked.Source
		source.Ref += strings.TrimPrefix(id, "cb-")
		i.Source = &source
	}}, change...)...)
	b := keyed(l.begin())
	b.Errand.Key = "key of marked " + b.Errand.ID
	_, err := s.Begin(t.Context(), b)
	require.NoError(t, err)
	_, err = s.Settle(t.Context(), b.Errand.ID, l.all(), func(book.View) (*book.Answer, error) {
		return &book.Answer{Status: 201, Body: []byte(`{"customer":"markname"}`)}, nil
	})
	require.NoError(t, err)
	sup := supervisor("sup1")
	project(t, s, l, l.do(t, after(time.Minute), sup, callback.Claim{}))
	project(t, s, l, l.do(t, after(2*time.Minute), sup, callback.Start{}))
	project(t, s, l, l.do(t, after(3*time.Minute), sup, callback.Attempt{Disposition: callback.Reached}))
	for _, kind := range []book.TextKind{book.TextNote, book.TextCallSummary} {
		text := note(l, kind, "marknote "+string(kind)+" about Zyxley")
		say(t, s, l, text, l.do(t, after(4*time.Minute), sup, callback.Note{Kind: callback.NoteKind(kind), TextID: text.ID}))
	}
	project(t, s, l, l.do(t, after(5*time.Minute), sup, callback.Complete{Reason: "resolved"}))
	archived(t, s, l)
	return l
}

func archived(t testing.TB, s *store.Store, l *life) {
	t.Helper()
	require.NoError(t, s.SaveHistory(t.Context(), book.Archived{
		CallbackID: l.ID, RunID: "run-" + l.ID, ClosedAt: after(6 * time.Minute), History: []byte("history"),
	}))
}

func erase(l *life) book.Erase {
	return book.Erase{
		CallbackID: l.ID, By: "admin1", At: after(time.Hour), Ground: book.GroundRequest, SettledBy: after(-time.Hour),
		Redact: func(string, []byte) ([]byte, error) { return []byte(`{"customer":null}`), nil },
	}
}

// dump is every value of every column of every table, in small letters, table by table.
func dumpAll(t testing.TB, s *store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	tables := `SELECT name FROM sqlite_schema WHERE type = 'table'`
	if s.IsPostgres() {
		tables = `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`
	}
	for _, table := range lines(t, s.DB(), tables) {
		rows, err := s.DB().QueryContext(t.Context(), `SELECT * FROM `+table)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		var b strings.Builder
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			require.NoError(t, rows.Scan(into...))
			for _, v := range values {
				if raw, is := v.([]byte); is {
					v = string(raw)
				}
				fmt.Fprintf(&b, "%v\n", v)
			}
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		all[table] = strings.ToLower(b.String())
	}
	return all
}

func tablesWith(t testing.TB, s *store.Store, marks ...string) []string {
	t.Helper()
	var found []string
	for table, all := range dumpAll(t, s) {
		if slices.ContainsFunc(marks, func(m string) bool { return strings.Contains(all, m) }) {
			found = append(found, table)
		}
	}
	slices.Sort(found)
	return found
}

// remembered is what connectors keep about a callback of the marked customer.
func remembered(t testing.TB, s *store.Store, l *life) {
	t.Helper()
	digest := strings.Repeat("ab", 16)
	ref := l.intake.Source.Ref
	for key, value := range map[string]string{
		"freshdesk/left:" + ref:                        "",
		"freshdesk/worn:" + l.ID:                       "operation",
		"mailbox/case:" + l.ID:                         ref,
		"mailbox/mail:" + digest:                       `{"callback":"` + l.ID + `","ref":"` + ref + `"}`,
		"servicebench/exception:" + digest:             "1",
		"servicebench/exception:" + digest + "#1":      `{"callback":"` + l.ID + `","status":"Open"}`,
		"servicebench/job:" + digest:                   "1",
		"servicebench/job:" + digest + "#1":            `{"exception_id":"` + ref + `"}`,
		"servicebench/joined:" + l.ID + ":0":           "marked-other",
		"zohodesk/of:tickets:" + ref:                   l.ID,
		"zohodesk/record:" + l.ID:                      `{"callback":"` + l.ID + `","id":"` + ref + `"}`,
		"servicebench/hints:3":                         "1764000000000 0 " + ref,
		"zohodesk/record:other":                        `{"callback":"other","id":"1"}`,
		"servicebench/exception:" + digest + "other#1": `{"callback":"other"}`,
	} {
		connector, key, _ := strings.Cut(key, "/")
		require.NoError(t, s.Remember(t.Context(), connector, key, value))
	}
}

func TestR26_AnErasureLeavesNothingOfTheCustomer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l, again := closedFor(t, s), closedFor(t, s)
		unnamed := closedFor(t, s, func(i *book.Intake) { i.Customer.Ref = "" })
		other := opened(t, noon)
		keep(t, s, other)
		staged := note(l, book.TextNote, "markstaged")
		_, err := s.Begin(t.Context(), book.Begin{Errand: errand(l.ID, "note"), Texts: []book.Text{staged}})
		require.NoError(t, err)
		remembered(t, s, l)
		for id, body := range map[string]string{
			"json": `{"customer":{"phones":["091234-50077"]},"comment":"from markname"}`, "hint": `{"ticket_id":"` + l.intake.Source.Ref + `"}`,
			"mail": "From: Zyxley <MARKMAIL@example.com>\r\n\r\nmark", "quoted": "Subject: x\r\n\r\nmy reference is mark=\r\nref77, thank you",
			"other": "nothing of the kind",
		} {
			require.NoError(t, s.Keep(t.Context(), book.Message{ID: id, Connector: "servicebench", Reason: "not understood", Media: "text/plain", Body: []byte(body)}))
		}
		_, err = s.DB().ExecContext(t.Context(), `INSERT INTO open_sources (policy, source_system, source_ref, callback_id) VALUES ('p', 's', 'marked', '`+l.ID+`')`)
		require.NoError(t, err) // as after a restore
		require.Equal(t, []string{"connector_memory", "errands", "inbound_messages", "intakes", "open_sources", "search", "texts"},
			slices.DeleteFunc(tablesWith(t, s, marks...), func(table string) bool { return strings.HasPrefix(table, "search_") }))

		before, err := s.Digest(t.Context())
		require.NoError(t, err)
		e := erase(l)
		var concluded book.Erased
		e.Conclude = func(done book.Erased) (*book.Errand, error) { concluded = done; return nil, nil } //nolint:nilnil // none
		done, err := s.Erase(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, book.Erased{Callbacks: 3}, done)
		require.Equal(t, done, concluded)

		require.Empty(t, tablesWith(t, s, marks...))
		source := l.intake.Source.System + ":" + l.intake.Source.Ref
		require.Empty(t, listed(t, s, book.Filter{Source: source}, book.SortDueAt, 10), "nobody finds it by its ticket")
		require.Equal(t, []string{l.ID}, listed(t, s, book.Filter{Source: source, Erased: true}, book.SortDueAt, 10), "but connectors know that they have dealt with it")
		if path := fileOf(t, s); path != "" {
			for _, name := range []string{path, path + "-wal"} {
				raw, err := os.ReadFile(name)
				if errors.Is(err, os.ErrNotExist) {
					continue
				}
				require.NoError(t, err)
				left := slices.DeleteFunc(slices.Clone(marks), func(mark string) bool { return !bytes.Contains(bytes.ToLower(raw), []byte(mark)) })
				require.Empty(t, left, "in the file %s", filepath.Base(name))
			}
		}
		after, err := s.Digest(t.Context())
		require.NoError(t, err)
		require.Equal(t, before, after, "nothing that is shown of a history has changed")
		for _, of := range []*life{l, again, unnamed} {
			v, err := s.Callback(t.Context(), of.ID)
			require.NoError(t, err)
			require.Equal(t, book.Intake{
				CallbackID: of.ID, Policy: "supervisor-callback", PolicyHash: "hash", LOB: "flights", RequestedBy: "agent1", RequestedAt: noon,
				Erased: &book.Erasure{By: "admin1", At: e.At, Ground: book.GroundRequest, After: v.State.Version},
			}, v.Intake)
			require.Equal(t, int64(len(of.events))+1, v.Version())
			require.Equal(t, e.At, v.UpdatedAt())
			notes, err := s.Notes(t.Context(), of.ID)
			require.NoError(t, err)
			require.Len(t, notes, 2, "that something was said stays")
			require.Empty(t, notes[0].Body)
		}
		v, err := s.Callback(t.Context(), other.ID)
		require.NoError(t, err)
		require.Equal(t, "Asha Rao", v.Intake.Customer.Name, "another customer is as before")
		require.Nil(t, v.Intake.Erased)
		m, err := s.Message(t.Context(), "mail")
		require.NoError(t, err)
		require.Empty(t, m.Body)
		require.Equal(t, "erased", m.Reason)
		require.False(t, m.ReplayedAt.IsZero(), "it is not replayed")
		require.NoError(t, s.Keep(t.Context(), book.Message{ID: "mail", Connector: "servicebench", Reason: "again", Body: []byte("mark")}))
		again2, err := s.Message(t.Context(), "mail")
		require.NoError(t, err)
		require.Equal(t, m, again2, "and neither comes back nor waits again")
		m, err = s.Message(t.Context(), "other")
		require.NoError(t, err)
		require.NotEmpty(t, m.Body)
	})
}

// fileOf is the file of an SQLite database; empty: it is none.
func fileOf(t testing.TB, s *store.Store) string {
	t.Helper()
	if s.IsPostgres() {
		return ""
	}
	return lines(t, s.DB(), `SELECT file FROM pragma_database_list WHERE name = 'main'`)[0]
}

func TestR26_WhatConnectorsHaveDoneTheyDoNotDoAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		remembered(t, s, l)
		_, err := s.Erase(t.Context(), erase(l))
		require.NoError(t, err)
		digest, ref := strings.Repeat("ab", 16), l.intake.Source.Ref
		for key, want := range map[string]string{
			"freshdesk/left:" + ref:                        "",
			"mailbox/mail:" + digest:                       `{"callback":"` + l.ID + `","ref":"erased"}`,
			"servicebench/exception:" + digest:             "1",
			"servicebench/exception:" + digest + "#1":      `{"callback":"` + l.ID + `","status":"Open"}`,
			"servicebench/job:" + digest + "#1":            `{"exception_id":"erased"}`,
			"zohodesk/of:tickets:" + ref:                   l.ID,
			"servicebench/hints:3":                         "1764000000000 0 erased",
			"zohodesk/record:other":                        `{"callback":"other","id":"1"}`,
			"servicebench/exception:" + digest + "other#1": `{"callback":"other"}`,
		} {
			connector, key, _ := strings.Cut(key, "/")
			value, found, err := s.Recall(t.Context(), connector, key)
			require.NoError(t, err)
			require.True(t, found, key)
			require.Equal(t, want, value, key)
			existing, first, err := s.Claim(t.Context(), connector, key, "anew")
			require.NoError(t, err)
			require.False(t, first, key)
			require.Equal(t, want, existing, key)
		}
		for _, key := range []string{"freshdesk/worn:" + l.ID, "mailbox/case:" + l.ID, "servicebench/joined:" + l.ID + ":0", "zohodesk/record:" + l.ID} {
			connector, key, _ := strings.Cut(key, "/")
			_, found, err := s.Recall(t.Context(), connector, key)
			require.NoError(t, err)
			require.False(t, found, key)
		}
		done, err := s.Replace(t.Context(), "servicebench", "exception:"+digest+"#1", `{"callback":"`+l.ID+`","status":"Open"}`, "{}")
		require.NoError(t, err)
		require.True(t, done)
		value, _, err := s.Recall(t.Context(), "servicebench", "exception:"+digest+"#1")
		require.NoError(t, err)
		require.Equal(t, "{}", value)
		// What is new is remembered over it, and forgotten with it.
		require.NoError(t, s.Remember(t.Context(), "freshdesk", "left:"+ref, "new"))
		value, _, err = s.Recall(t.Context(), "freshdesk", "left:"+ref)
		require.NoError(t, err)
		require.Equal(t, "new", value)
		require.NoError(t, s.Forget(t.Context(), "freshdesk", "left:"+ref))
		_, found, err := s.Recall(t.Context(), "freshdesk", "left:"+ref)
		require.NoError(t, err)
		require.False(t, found)
	})
}

func TestR26_AnErasureIsRefusedWhileTheCustomerIsStillToBeServed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		_, err := s.HashKey(t.Context()) // made when it is first asked for
		require.NoError(t, err)
		refused := func(of *life, why book.NotErasable, destination string) {
			t.Helper()
			before := dumpAll(t, s)
			_, err := s.Erase(t.Context(), erase(l))
			var no *book.NotErasableError
			require.ErrorAs(t, err, &no)
			require.Equal(t, book.NotErasableError{CallbackID: of.ID, Why: why, Destination: destination}, *no)
			now := dumpAll(t, s)
			delete(before, "feed") // whose rows get their numbers when it suits
			delete(now, "feed")
			require.True(t, maps.Equal(before, now), "all of it or nothing")
		}
		open2 := opened(t, noon, func(i *book.Intake) { i.Customer = marked.Customer })
		b := open2.begin()
		_, err = s.Begin(t.Context(), b)
		require.NoError(t, err)
		refused(open2, book.StillOpen, "") // it is being promised right now
		_, err = s.Settle(t.Context(), b.Errand.ID, open2.all(), nil)
		require.NoError(t, err)
		refused(open2, book.StillOpen, "")
		project(t, s, open2, open2.do(t, after(time.Minute), manager("mgr1"), callback.Cancel{TextID: newID("text")}))
		refused(open2, book.StillClosing, "")
		archived(t, s, open2)
		owed := tried(l, "freshdesk", 3, book.DeliveryOwed, "unavailable", after(time.Minute))
		require.NoError(t, s.NoteDelivery(t.Context(), owed))
		refused(l, book.StillOwed, "freshdesk")
		owed.State = book.DeliveryWaived
		require.NoError(t, s.NoteDelivery(t.Context(), owed))
		done, err := s.Erase(t.Context(), erase(l))
		require.NoError(t, err)
		require.Equal(t, 2, done.Callbacks)

		_, err = s.Erase(t.Context(), book.Erase{CallbackID: "nobody"})
		require.ErrorIs(t, err, book.ErrNotFound)
	})
}

func TestR26_AHistoryThatWasLostDoesNotKeepTheCustomer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		_, err := s.DB().ExecContext(t.Context(), `DELETE FROM histories`)
		require.NoError(t, err)
		e := erase(l)
		_, err = s.Erase(t.Context(), e)
		require.Error(t, err)
		e.SettledBy = after(time.Hour)
		_, err = s.Erase(t.Context(), e)
		require.NoError(t, err)
	})
}

func TestR26_ErasingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		e := erase(l)
		answered := book.Errand{ID: "errand-erase", Key: "key", Principal: "admin1", Path: "/erase", Answer: &book.Answer{Status: 200, Body: []byte("{}")}, CreatedAt: noon}
		e.Conclude = func(book.Erased) (*book.Errand, error) { return &answered, nil }
		_, err := s.Erase(t.Context(), e)
		require.NoError(t, err)
		was, err := s.Callback(t.Context(), l.ID)
		require.NoError(t, err)
		_, err = s.Erase(t.Context(), e)
		require.ErrorIs(t, err, book.ErrRepeated)

		late := erase(l)
		late.By, late.At = "admin2", after(2*time.Hour)
		done, err := s.Erase(t.Context(), late)
		require.NoError(t, err)
		require.Zero(t, done.Callbacks)
		now, err := s.Callback(t.Context(), l.ID)
		require.NoError(t, err)
		require.Equal(t, was, now)
	})
}

// A check may refuse before anything else does.
func TestR26_WhoeverAsksMayHaveSeenAnOlderCallback(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		e := erase(l)
		stale := errors.New("stale")
		e.Check = func(v book.View) error {
			require.EqualValues(t, len(l.events), v.Version())
			return stale
		}
		_, err := s.Erase(t.Context(), e)
		require.ErrorIs(t, err, stale)
		v, err := s.Callback(t.Context(), l.ID)
		require.NoError(t, err)
		require.Nil(t, v.Intake.Erased)
	})
}

func TestR26_AFamilysPhoneIsNotOneCustomer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		mother := closedFor(t, s, func(i *book.Intake) { i.Customer.Ref = "mother" })
		son := closedFor(t, s, func(i *book.Intake) { i.Customer.Ref = "son" })
		nobody := closedFor(t, s, func(i *book.Intake) { i.Customer.Ref = "" })
		done, err := s.Erase(t.Context(), erase(nobody))
		require.NoError(t, err)
		require.Equal(t, book.Erased{Callbacks: 1, Left: 2}, done)
		done, err = s.Erase(t.Context(), erase(mother))
		require.NoError(t, err)
		require.Equal(t, book.Erased{Callbacks: 1, Left: 1}, done)
		v, err := s.Callback(t.Context(), son.ID)
		require.NoError(t, err)
		require.NotEmpty(t, v.Intake.Customer.Name)
	})
}

// What comes after an erasure, however late, brings nothing back: the numbers of
// the timeline go on, and a stream tells of each once.
func TestR26_WhatComesLateBringsNothingBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		late := note(l, book.TextNote, "marklate of Zyxley")
		events := []callback.Event{{
			Seq: l.Version + 1, At: after(7 * time.Minute), Actor: "sup1", Tier: l.Tier, Rule: "R12",
			Fact: &callback.Noted{Kind: callback.KindNote, TextID: late.ID},
		}}
		_, err := s.Erase(t.Context(), erase(l))
		require.NoError(t, err)
		_, newest, err := s.FeedBounds(t.Context())
		require.NoError(t, err)
		items, err := s.Feed(t.Context(), newest-1, 10)
		require.NoError(t, err)
		require.Len(t, items, 1)
		require.Equal(t, l.Version+1, items[0].State.Version)
		require.Equal(t, after(time.Hour), items[0].State.UpdatedAt)

		e := errand(l.ID, "note")
		_, err = s.Begin(t.Context(), book.Begin{Errand: e, Texts: []book.Text{late}})
		require.NoError(t, err)
		v, err := s.Settle(t.Context(), e.ID, l.batch(events), nil)
		require.NoError(t, err)
		require.Equal(t, l.Version+2, v.Version())
		require.Equal(t, l.Version, v.Intake.Erased.After)
		require.Empty(t, tablesWith(t, s, marks...))
		require.Empty(t, found(t, s, "marklate"))
		items, err = s.Feed(t.Context(), newest, 10)
		require.NoError(t, err)
		require.Len(t, items, 1)
		require.Equal(t, l.Version+2, items[0].State.Version)
	})
}

func TestR26_ARebuildAfterAnErasureComesOutTheSame(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		_, err := s.Erase(t.Context(), erase(l))
		require.NoError(t, err)
		before, shown := dumpAll(t, s), everything(t, s)
		require.NoError(t, s.DropProjections(t.Context()))
		project(t, s, l, l.events)
		require.Equal(t, shown, everything(t, s))
		requireGapless(t, s, l)
		for _, table := range []string{"callbacks", "timeline", "promises", "tags", "intakes", "texts"} {
			require.Equal(t, before[table], dumpAll(t, s)[table], table)
		}
		require.Empty(t, tablesWith(t, s, marks...))
	})
}

func TestR26_ARepeatGetsAnAnswerWithoutTheCustomer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := opened(t, noon, func(i *book.Intake) { i.Customer = marked.Customer })
		b := keyed(l.begin())
		_, err := s.Begin(t.Context(), b)
		require.NoError(t, err)
		_, err = s.Settle(t.Context(), b.Errand.ID, l.all(), func(book.View) (*book.Answer, error) {
			return &book.Answer{Status: 201, Location: "/v1/callbacks/" + l.ID, ETag: `"3"`, Body: []byte("markname")}, nil
		})
		require.NoError(t, err)
		project(t, s, l, l.do(t, after(time.Minute), manager("mgr1"), callback.Cancel{TextID: newID("text")}))
		archived(t, s, l)
		e := erase(l)
		e.Redact = func(command string, body []byte) ([]byte, error) {
			require.Equal(t, "create", command)
			return bytes.ReplaceAll(body, []byte("mark"), []byte("no")), nil
		}
		_, err = s.Erase(t.Context(), e)
		require.NoError(t, err)
		kept, err := s.Begin(context.WithoutCancel(t.Context()), b)
		require.NoError(t, err)
		require.NotNil(t, kept, "the same request is the same callback")
		require.Equal(t, b.Errand.Digest, kept.Digest)
		require.Equal(t, l.ID, kept.CallbackID)
		require.Equal(t, &book.Answer{Status: 201, Location: "/v1/callbacks/" + l.ID, ETag: `"3"`, Body: []byte("noname")}, kept.Answer)
	})
}

// Every table has been thought of: a new one makes this fail.
func TestR26_WhatEveryTableHoldsOfACustomerIsSaid(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		var tables []string
		for table := range dumpAll(t, s) {
			if !strings.HasPrefix(table, "search_") && !strings.HasPrefix(table, "sqlite_") && !strings.HasPrefix(table, "goose_") {
				tables = append(tables, table)
			}
		}
		slices.Sort(tables)
		require.Equal(t, tables, store.PersonalTables())
	})
}

// A connector may have to know a ticket for longer than a key is remembered.
func TestR14_R26_ASourceIsKnownAfterAnErasureAndARepeatOfIt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, open opener) {
		s := open(t, store.Options{})
		l := closedFor(t, s)
		for range 2 {
			_, err := s.Erase(t.Context(), erase(l))
			require.NoError(t, err)
			known := book.Filter{Source: "servicebench:" + l.intake.Source.Ref, Erased: true}
			require.Equal(t, []string{l.ID}, listed(t, s, known, book.SortRequestedAt, 10))
			require.Empty(t, listed(t, s, book.Filter{Source: "freshdesk:" + l.intake.Source.Ref, Erased: true}, book.SortRequestedAt, 10))
		}
	})
}

package audit_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	historypb "go.temporal.io/api/history/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/serviceerror"

	"ringback/audit"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// floor are all recorded callbacks but the one that needs another workflow.
func floor(t testing.TB) []*audit.History {
	t.Helper()
	var all []*audit.History
	for name, h := range recorded(t) {
		if name != "continued" {
			all = append(all, h)
		}
	}
	return all
}

func verify(t testing.TB, e *engineWith, m *memory) audit.Report {
	t.Helper()
	a := audit.New(audit.Options{Engine: e, Book: m, Patience: time.Millisecond})
	var last audit.Step
	told := 0
	report, err := a.Verify(t.Context(), func(s audit.Step) {
		if s.Doing == "verifying" {
			told++
			require.NotNil(t, s.Finding)
			require.Equal(t, told, s.Done)
		}
		last = s
	})
	require.NoError(t, err)
	require.Equal(t, last.Total, report.Callbacks)
	require.Equal(t, told, report.Callbacks)
	return report
}

func TestR24_VerifyFindsNothingOnAGoodFloor(t *testing.T) {
	t.Parallel()
	all := floor(t)
	m := showing(t, all...)
	m.shelve(t, all[0], all[0].Runs...)
	report := verify(t, newEngine(all...), m)
	require.True(t, report.OK(), report.Findings)
	require.Equal(t, len(all), report.Callbacks)
	require.Positive(t, report.Events)
}

// only returns the problems of the one callback that has some.
func only(t testing.TB, r audit.Report, id string) string {
	t.Helper()
	require.Len(t, r.Findings, 1, r.Findings)
	require.Equal(t, id, r.Findings[0].CallbackID)
	require.Len(t, r.Findings[0].Problems, 1, r.Findings[0].Problems)
	return r.Findings[0].Problems[0]
}

func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	h := recording(t, "met")
	id := h.CallbackID
	t.Run("R27 a lost promise", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, only(t, verify(t, newEngine(), showing(t, h)), id), "a promise is lost")
	})
	t.Run("but not one that was never made", func(t *testing.T) {
		t.Parallel()
		m := newMemory()
		m.intakes["begun"] = book.Intake{CallbackID: "begun"}
		r := verify(t, newEngine(), m)
		require.True(t, r.OK())
		require.Equal(t, 1, r.Pending)
	})
	t.Run("a history that does not replay", func(t *testing.T) {
		t.Parallel()
		tampered := cloned(h)
		tampered.Runs[0].Events[15].EventId = 99
		require.Contains(t, only(t, verify(t, newEngine(tampered), showing(t, h)), id), "event 16 is missing")
	})
	t.Run("what lists show otherwise", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		m.views[id].Tags = nil
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "another state than the history leads to: tags")
	})
	t.Run("R25 what lists file it under", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		m.misfiled = map[string]string{id: "tags"}
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "its rows in tags")
	})
	t.Run("a gap in the timeline", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		m.timeline[id] = append(m.timeline[id][:3:3], m.timeline[id][4:]...)
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "the timeline has a gap before entry 5")
	})
	t.Run("a missing original", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		delete(m.intakes, id)
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "its original is missing")
	})
	t.Run("another policy than was pinned", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		var in contract.Input
		require.NoError(t, json.Unmarshal(payloads(h.Runs[0].Events[0])[0].Data, &in))
		i := m.intakes[id]
		i.PolicyHash = "h"
		m.intakes[id] = i
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "is not kept")
		m.policies["h"] = in.Policy
		require.True(t, verify(t, newEngine(h), m).OK())
		in.Policy.Ladder[1].TAT = callback.Duration(time.Minute)
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "another policy than was pinned into it: ladder[1].tat")
	})
	t.Run("an archive that differs", func(t *testing.T) {
		t.Parallel()
		m := showing(t, h)
		other := cloned(h)
		other.Runs[0].Events[10].EventTime.Seconds++
		m.shelve(t, h, other.Runs...)
		require.Contains(t, only(t, verify(t, newEngine(h), m), id), "the archive holds another history")
	})
	t.Run("a missing run", func(t *testing.T) {
		t.Parallel()
		whole := recording(t, "continued")
		last := &audit.History{CallbackID: whole.CallbackID, Runs: whole.Runs[len(whole.Runs)-1:]}
		a := audit.New(audit.Options{Engine: newEngine(last), Book: showing(t, whole), ContinueAfter: continueAfter})
		r, err := a.Verify(t.Context(), nil)
		require.NoError(t, err)
		require.Contains(t, only(t, r, whole.CallbackID), "an earlier run is missing")
	})
}

func TestVerifyNeedsADatabase(t *testing.T) {
	t.Parallel()
	_, err := audit.New(audit.Options{Engine: newEngine()}).Verify(t.Context(), nil)
	require.ErrorIs(t, err, audit.ErrNoDatabase)
	_, err = audit.New(audit.Options{Engine: newEngine()}).Rebuild(t.Context(), nil)
	require.ErrorIs(t, err, audit.ErrNoDatabase)
}

func TestAnOutageIsNoFinding(t *testing.T) {
	t.Parallel()
	h := recording(t, "met")
	away := newEngine(h)
	away.err = serviceerror.NewUnavailable("away")
	_, err := audit.New(audit.Options{Engine: away, Book: showing(t, h)}).Verify(t.Context(), nil)
	require.ErrorIs(t, err, away.err)
	m := showing(t, h)
	m.err = book.ErrUnavailable
	_, err = audit.New(audit.Options{Engine: newEngine(h), Book: m}).Verify(t.Context(), nil)
	require.ErrorIs(t, err, book.ErrUnavailable)
}

// R26: whatever is personal is found, however it got into a history.
func TestR26_NothingPersonalIsInAHistory(t *testing.T) {
	t.Parallel()
	clean := recording(t, "met")
	hexOf := func(sum []byte) string { return hex.EncodeToString(sum) }
	sha2 := sha256.Sum256([]byte("+919812345678"))
	sha1Sum := sha1.Sum([]byte("asha@example.org"))
	md5Sum := md5.Sum([]byte("CUST-77120"))
	for leak, found := range map[string]string{
		"Asha Verma":                                  "a customer's name is in its history",
		"asked for ASHA VERMA twice":                  "a customer's name",
		"+919812345678":                               "a customer's phone number",
		"tel:919812345678":                            "a customer's phone number",
		"Asha@example.org":                            "a customer's e-mail address",
		"CUST-77120":                                  "a customer's reference",
		"ticket TKT-90417.":                           "a ticket reference",
		"zx-4412-b":                                   "a custom field's value",
		"Refund for a cancelled train":                "a free text",
		"Refund promised, money within a week":        "a free text",
		"Refund promised, money within a wee…":        "a free text",
		hexOf(sha2[:]):                                "an unkeyed hash of a customer's phone number",
		strings.ToUpper(hexOf(sha2[:])):               "an unkeyed hash of a customer's phone number",
		base64.StdEncoding.EncodeToString(sha1Sum[:]): "an unkeyed hash of a customer's e-mail address",
		"sha1-" + base64.URLEncoding.EncodeToString(sha1Sum[:]): "an unkeyed hash of a customer's e-mail address",
		"md5:" + hexOf(md5Sum[:]):                               "an unkeyed hash of a customer's reference",
	} {
		for where, put := range map[string]func(e *historypb.HistoryEvent){
			"a payload": func(e *historypb.HistoryEvent) {
				p := payloads(e)[0]
				quoted, err := json.Marshal(leak)
				require.NoError(t, err)
				p.Data = bytes.Replace(p.Data, []byte("{"), append([]byte(`{"leak":`), append(quoted, ',')...), 1)
			},
			"a summary": func(e *historypb.HistoryEvent) {
				e.UserMetadata = &sdkpb.UserMetadata{Summary: &commonpb.Payload{Data: []byte(leak)}}
			},
			"a header": func(e *historypb.HistoryEvent) {
				e.GetWorkflowExecutionStartedEventAttributes().Header = &commonpb.Header{Fields: map[string]*commonpb.Payload{leak: {}}}
			},
			"an identity": func(e *historypb.HistoryEvent) { e.GetWorkflowExecutionStartedEventAttributes().Identity = leak },
		} {
			h := cloned(clean)
			put(h.Runs[0].Events[0])
			r := verify(t, newEngine(h), showing(t, clean))
			require.NotEmpty(t, r.Findings, "%s in %s", leak, where)
			problems := strings.Join(r.Findings[0].Problems, "\n")
			require.Contains(t, problems, found, "%s in %s", leak, where)
			require.NotContains(t, problems, leak)
		}
	}
}

// What only looks personal is no finding: ids, instants, words of the policy,
// keyed hashes.
func TestR26_WhatIsNobodysIsNoFinding(t *testing.T) {
	t.Parallel()
	all := floor(t)
	m := showing(t, all...)
	for id, i := range m.intakes {
		i.Customer.Name = "Manager"
		i.Customer.Ref = id[4:8]
		i.Reason = "resolved"
		i.Source.Ref = "2026"
		i.Fields = map[string]string{"a": "Supervisor", "b": "10:00", "c": "no", "d": "callback", "e": "60", "f": "Resolved on the call"}
		m.intakes[id] = i
	}
	r := verify(t, newEngine(all...), m)
	require.True(t, r.OK(), r.Findings)
}

func TestR25_RebuildComesOutTheSame(t *testing.T) {
	t.Parallel()
	all := floor(t)
	m := showing(t, all...)
	before, err := m.Digest(t.Context())
	require.NoError(t, err)
	a := audit.New(audit.Options{Engine: newEngine(all...), Book: m})
	var doing []string
	r, err := a.Rebuild(t.Context(), func(s audit.Step) {
		if len(doing) == 0 || doing[len(doing)-1] != s.Doing {
			doing = append(doing, s.Doing)
		}
	})
	require.NoError(t, err)
	require.True(t, r.Same(), r)
	require.Equal(t, len(all), r.Callbacks)
	require.Positive(t, r.Rate())
	require.Equal(t, 1, m.dropped)
	require.Equal(t, []string{"replaying", "writing"}, doing)
	after, err := m.Digest(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestR25_RebuildReportsAndMendsWhatDiffered(t *testing.T) {
	t.Parallel()
	met, held, drawn := recording(t, "met"), recording(t, "held"), recording(t, "drawn")
	m := showing(t, met, held, drawn)
	want, err := m.Digest(t.Context())
	require.NoError(t, err)
	m.views[met.CallbackID].Owner = "somebody else"
	delete(m.views, held.CallbackID)
	delete(m.timeline, held.CallbackID)
	m.views["made-up"] = &callback.Callback{ID: "made-up"}
	m.timeline["made-up"] = []callback.Event{{Seq: 1, Fact: &callback.Queued{}}}

	r, err := audit.New(audit.Options{Engine: newEngine(met, held, drawn), Book: m}).Rebuild(t.Context(), nil)
	require.NoError(t, err)
	require.False(t, r.Same())
	require.Equal(t, []string{met.CallbackID}, r.Changed)
	require.Equal(t, []string{held.CallbackID}, r.Missing)
	require.Equal(t, []string{"made-up"}, r.Extra)
	after, err := m.Digest(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, after)
}

// Nothing is thrown away that could not be put back.
func TestR25_RebuildRefusesWhereAHistoryDoesNotReplay(t *testing.T) {
	t.Parallel()
	met, held := recording(t, "met"), recording(t, "held")
	m := showing(t, met, held)
	tampered := cloned(held)
	tampered.Runs[0].Events[20].EventId = 99
	r, err := audit.New(audit.Options{Engine: newEngine(met, tampered), Book: m}).Rebuild(t.Context(), nil)
	require.ErrorIs(t, err, audit.ErrNotRebuilt)
	require.Len(t, r.Unreplayable, 1)
	require.Equal(t, held.CallbackID, r.Unreplayable[0].CallbackID)
	require.Zero(t, m.dropped)
	require.Len(t, m.views, 2)
}

func BenchmarkVerify(b *testing.B) {
	all := floor(b)
	m := showing(b, all...)
	a := audit.New(audit.Options{Engine: newEngine(all...), Book: m})
	for b.Loop() {
		r, err := a.Verify(b.Context(), nil)
		require.NoError(b, err)
		require.True(b, r.OK())
	}
	b.ReportMetric(float64(b.N*len(all))/b.Elapsed().Seconds(), "callbacks/s")
}

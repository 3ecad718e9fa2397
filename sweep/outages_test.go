package sweep_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// R23: whoever declared it died before its workflow was there.
func TestR23_AnOutageThatHasNotBegunBegins(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.book.active = []book.Outage{
		{ID: "o1", LOB: "flights", DeclaredBy: "mgr1", DeclaredAt: d.ago(time.Minute)},
		{ID: "o2", LOB: "trains", DeclaredBy: "mgr2", DeclaredAt: d.ago(59 * time.Second)},
	}
	one := contract.OutageInput{ID: "o1", By: "mgr1", At: d.ago(time.Minute)}
	two := contract.OutageInput{ID: "o2", By: "mgr2", At: d.ago(59 * time.Second)}
	d.temp.errs["o1"] = serviceerror.NewUnavailable("away")
	_, err := d.Once(t.Context())
	require.ErrorContains(t, err, "away")
	require.Empty(t, d.temp.begun, "the second may still come to nothing")

	delete(d.temp.errs, "o1")
	d.once()
	require.Equal(t, []contract.OutageInput{one}, d.temp.begun)
	d.clock.pass(time.Second)
	for range 3 {
		d.once()
	}
	require.Equal(t, []contract.OutageInput{one, two}, d.temp.begun, "each once")
}

// R23: it was linked, or shown to be, when everybody had been told: its clock
// must not stand still for what is over.
func TestR23_ACallbackThatIsLinkedToAnOutageThatIsOverIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.book.links = []book.OutageLink{{CallbackID: "c1", Outage: "o1", EndedBy: "mgr2"}, {CallbackID: "c2", Outage: "gone"}}
	require.Equal(t, 2, d.once().Resumed)
	require.Equal(t, map[string][]callback.OutageNews{
		"c1": {{Outage: "o1", By: "mgr2"}}, "c2": {{Outage: "gone", By: callback.ActorClock}},
	}, d.temp.told)
	require.Equal(t, d.ago(time.Minute), d.book.before["links"], "until then they are told by the outage itself")

	// Lists do not show yet that one of them goes on.
	d.book.links = d.book.links[:1]
	require.Zero(t, d.once().Resumed)
	for range 24 * 60 {
		d.clock.pass(time.Minute)
		d.once()
	}
	require.Greater(t, len(d.temp.told["c1"]), 20)
	require.Less(t, len(d.temp.told["c1"]), 35, "in a day")
	require.Len(t, d.temp.told["c2"], 1)
}

func TestR23_AnEngineThatIsAwayIsToldOfAFewOutagesOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for i := range 20 {
		id := string(rune('a' + i))
		d.book.active = append(d.book.active, book.Outage{ID: "o" + id, DeclaredAt: d.ago(time.Hour)})
		d.book.links = append(d.book.links, book.OutageLink{CallbackID: "c" + id, Outage: "over", EndedBy: "mgr1"})
		d.temp.errs["o"+id], d.temp.errs["c"+id] = serviceerror.NewUnavailable("away"), serviceerror.NewUnavailable("away")
	}
	d.temp.errs["ca"] = serviceerror.NewNotFound("it has ended")
	r, err := d.Once(t.Context())
	require.ErrorContains(t, err, "away")
	require.Equal(t, 1, r.Resumed)
	clear(d.temp.errs)
	require.Equal(t, 19, d.once().Resumed)
	require.Len(t, d.temp.begun, 20)
}

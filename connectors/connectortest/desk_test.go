package connectortest

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/book"
	"ringback/callback"
	"ringback/connectors"
)

// listener is a connector that hears everything, and fails when told to.
type listener struct {
	heard []connectors.Delivery
	fail  error
}

func (l *listener) Name() string                               { return "listener" }
func (l *listener) Wants(book.Intake, *callback.Policy) bool   { return true }
func (l *listener) Receive(http.ResponseWriter, *http.Request) {}
func (l *listener) Types() []callback.EventType {
	return []callback.EventType{callback.TypeTagged, callback.TypeNoted, callback.TypeCompleted, callback.TypeUntagged}
}

func (l *listener) Deliver(_ context.Context, d connectors.Delivery) error {
	l.heard = append(l.heard, d)
	return l.fail
}

func TestTheDeskKeepsTheRulesAndDeliversInOrder(t *testing.T) {
	t.Parallel()
	ctx, clock := context.Background(), NewClock()
	d := NewDesk(clock.Now, SupervisorCallback())
	d.Hire(Floor()...)
	promise := connectors.Promise{
		Policy: "supervisor-callback", Customer: book.Customer{Name: "Somebody", Phone: Phone(1)},
		Source: book.Source{System: "freshdesk", Ref: "7"},
	}

	id, err := d.Promise(ctx, "listener", "k", promise)
	require.NoError(t, err)
	again, err := d.Promise(ctx, "listener", "k", promise)
	require.NoError(t, err)
	require.Equal(t, id, again)
	_, err = d.Promise(ctx, "listener", "other", promise)
	require.ErrorIs(t, err, callback.Refused(callback.CodeDuplicate))
	promise.Customer.Phone, promise.Source.Ref = "12345", "8"
	_, err = d.Promise(ctx, "listener", "bad", promise)
	require.ErrorIs(t, err, callback.Refused(callback.CodeInvalid))

	l := &listener{fail: errors.New("away")}
	require.ErrorIs(t, d.Deliver(ctx, l, id), l.fail)
	l.fail = nil
	require.ErrorIs(t, d.Do(ctx, "1", "sup1", id, "start", nil), callback.Refused(callback.CodeNotClaimed))
	for i, c := range []struct {
		name string
		body any
	}{
		{"claim", nil}, {"start", nil}, {"attempts", map[string]any{"disposition": "reached"}},
		{"complete", map[string]any{"resolution_reason": "resolved", "call_summary": "Said so."}},
	} {
		clock.Advance(time.Minute)
		require.NoError(t, d.Do(ctx, string(rune('a'+i)), "sup1", id, c.name, c.body))
		require.NoError(t, d.Do(ctx, string(rune('a'+i)), "sup1", id, c.name, c.body), "the same key again")
	}
	require.NoError(t, d.Deliver(ctx, l, id))
	require.NoError(t, d.Deliver(ctx, l, id))

	types := []callback.EventType{}
	for _, h := range l.heard {
		types = append(types, h.Event.Fact.Type())
	}
	require.Equal(t, []callback.EventType{
		callback.TypeTagged, callback.TypeTagged, callback.TypeNoted, callback.TypeCompleted, callback.TypeUntagged,
	}, types)
	require.False(t, l.heard[0].Again)
	require.True(t, l.heard[1].Again)
	require.Equal(t, l.heard[0].OperationID, l.heard[1].OperationID)
	require.Equal(t, "Said so.", l.heard[2].Text.Body)
	require.Equal(t, "sup1", l.heard[2].Author.ID)
	require.Equal(t, callback.StatusInProgress, l.heard[2].Callback.Status)
	require.Equal(t, callback.StatusCompleted, l.heard[2].Latest.Status)
	require.Equal(t, d.View(id).State, l.heard[4].Latest)
}

func TestATagIsMissedOnceAMinuteAndOnlyWhileOpen(t *testing.T) {
	t.Parallel()
	ctx, clock := context.Background(), NewClock()
	d := NewDesk(clock.Now, SupervisorCallback())
	id, err := d.Promise(ctx, "freshdesk", "k", connectors.Promise{
		Policy: "supervisor-callback", Customer: book.Customer{Name: "Somebody", Phone: Phone(1)},
	})
	require.NoError(t, err)
	require.NoError(t, d.TagMissing(ctx, "freshdesk", id))
	require.NoError(t, d.TagMissing(ctx, "freshdesk", id))
	require.Equal(t, 2, d.Count(id, callback.TypeTagged))
	require.Equal(t, []string{"Callback Required"}, d.View(id).State.Tags)
	clock.Advance(2 * time.Hour)
	d.Tick()
	require.Equal(t, 1, d.Count(id, callback.TypeEscalated))
	require.NoError(t, d.TagMissing(ctx, "freshdesk", id))
	require.Equal(t, 3, d.Count(id, callback.TypeTagged))
}

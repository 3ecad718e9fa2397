package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"ringback/activities"
	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// morning is a ledger with one member, whose shift begins at an instant.
type morning struct{ begins time.Time }

func (m morning) Draw(_ context.Context, r book.DrawRequest) (book.DrawRecord, error) {
	if r.At.Before(m.begins) {
		return book.DrawRecord{}, book.ErrNoneAvailable
	}
	return book.DrawRecord{DrawRequest: r, Candidates: []string{"expert1"}, To: "expert1"}, nil
}

func TestR21_ADrawThatIsTriedAgainAsksWhoIsThereNow(t *testing.T) {
	night := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	now := night
	a := &activities.Assignment{Ledger: morning{night.Add(6 * time.Hour)}, Now: func() time.Time { return now }}
	// The engine gives every try of an activity the same input.
	wanted := contract.DrawRequest{CallbackID: "c", Version: 3, Queue: "Tier 3", Tier: "tier3", Method: callback.AssignRandom, At: callback.At(night)}

	_, err := a.Draw(t.Context(), wanted)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, activities.NobodyErrorType, app.Type())

	now = night.Add(6 * time.Hour)
	drawn, err := a.Draw(t.Context(), wanted)
	require.NoError(t, err)
	require.Equal(t, callback.Draw{ID: wanted.ID(), To: "expert1", Candidates: []string{"expert1"}}, drawn)
}

func TestR21_ADrawIsNeverDecidedBeforeItWasWanted(t *testing.T) {
	wanted := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	a := &activities.Assignment{Ledger: morning{wanted}, Now: func() time.Time { return wanted.Add(-time.Second) }}
	_, err := a.Draw(t.Context(), contract.DrawRequest{CallbackID: "c", Version: 3, Method: callback.AssignRandom, At: callback.At(wanted)})
	require.NoError(t, err)
}

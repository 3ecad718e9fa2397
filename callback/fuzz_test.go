package callback

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzEvent: whatever is read back is either refused or folds and is written the same again.
func FuzzEvent(f *testing.F) {
	for _, typ := range EventTypes {
		b, _ := json.Marshal(Event{Seq: 1, At: At(monday), Actor: "sup1", Tier: "supervisor", Rule: "R04", Fact: newFact(typ)})
		f.Add(string(b))
	}
	f.Add(`{"seq":1,"type":"held","data":{"until":null,"warn_in":["1s",null],"remaining":"-1h"}}`)
	f.Add(`{"seq":1,"type":"tagged","data":null}`)
	f.Fuzz(func(t *testing.T, in string) {
		var e Event
		if json.Unmarshal([]byte(in), &e) != nil {
			return
		}
		once := inJSON(t, e)
		var again Event
		require.NoError(t, json.Unmarshal([]byte(once), &again))
		require.Equal(t, once, inJSON(t, again))
		c := &Callback{Version: e.Seq - 1}
		require.NoError(t, c.Apply(e))
		c.Next()
		require.Equal(t, inJSON(t, c), inJSON(t, c.Clone()))
	})
}

func FuzzInstant(f *testing.F) {
	for _, s := range []string{`null`, `"2026-11-23T10:00:00.000Z"`, `"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+23:59"`, `"2026-11-23T10:00:00,5Z"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var i, again Instant
		if i.UnmarshalJSON([]byte(in)) != nil {
			return
		}
		b, err := i.MarshalJSON()
		require.NoError(t, err)
		require.NoError(t, again.UnmarshalJSON(b))
		require.Equal(t, i, again)
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1h30m", "-1ns", "0", "", "1e9s", "2562047h47m16.854775807s", "-2562047h47m16.854775808s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var d, again Duration
		if d.UnmarshalText([]byte(in)) != nil {
			return
		}
		b, err := d.MarshalText()
		require.NoError(t, err)
		require.NoError(t, again.UnmarshalText(b))
		require.Equal(t, d, again)
	})
}

func FuzzWarningAfter(f *testing.F) {
	for _, s := range []string{"50%", "10m", "NaN%", "0x1p-1074%", "99.99999999999999999%", "1h", "%"} {
		f.Add(s, int64(hour))
	}
	f.Add("50%", int64(-1))
	f.Fuzz(func(t *testing.T, in string, tat int64) {
		after, err := Warning(in).After(Duration(tat))
		if err == nil && tat >= int64(second) {
			require.GreaterOrEqual(t, after, Duration(0))
			require.LessOrEqual(t, after, Duration(tat))
		}
	})
}

// FuzzPolicy: a policy that is valid can be pinned and promises something; the
// clock comes to an end of what is due.
func FuzzPolicy(f *testing.F) {
	for _, p := range []*Policy{{}, supervisorCallback(), supervisorCallback(executives)} {
		b, _ := json.Marshal(p)
		f.Add(string(b), "flights", "sup1")
	}
	f.Fuzz(func(t *testing.T, in, lob, supervisor string) {
		p := &Policy{}
		if json.Unmarshal([]byte(in), p) != nil || p.Validate() != nil {
			return
		}
		p.CheckFields(map[string]string{lob: supervisor})
		pinned := p.Pin(lob, supervisor)
		if pinned.Calendar != nil {
			return // FuzzCalendarHours has it
		}
		c, _ := Open(pinned, Request{ID: "c", By: "assoc1", At: At(monday)}, pinned.Calendar)
		require.True(t, c.DueAt.After(monday))
		for range 20 {
			next, ok := c.Next()
			if !ok {
				return
			}
			require.NotEmpty(t, c.Advance(pinned, next.Time, pinned.Calendar))
		}
	})
}

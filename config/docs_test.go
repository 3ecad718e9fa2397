package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"ringback/callback"
)

// The page on policies cannot lie: what it shows is computed here.

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/policies.md")
	require.NoError(t, err)
	return string(text)
}

var pageFile = regexp.MustCompile("(?s)<!-- file -->\n```yaml\n(.*?)```")

func TestPolicyPageFilesLoad(t *testing.T) {
	t.Parallel()
	files := pageFile.FindAllStringSubmatch(page(t), -1)
	require.Len(t, files, 2)
	for _, file := range files {
		_, err := Parse("page.yaml", []byte(file[1]))
		require.NoError(t, err)
	}
}

// pageConfig is the file that the examples use.
func pageConfig(t *testing.T) *Config {
	t.Helper()
	files := pageFile.FindAllStringSubmatch(page(t), -1)
	c, err := Parse("page.yaml", []byte(files[len(files)-1][1]))
	require.NoError(t, err)
	return c
}

func TestPolicyPageNamesEveryKey(t *testing.T) {
	t.Parallel()
	text := page(t)
	for of, keys := range blocks {
		for _, key := range keys {
			written := strings.Contains(text, "`"+key+"`") || strings.Contains(text, "."+key+"` |") || strings.Contains(text, "."+key+".")
			if of == blockAssign {
				written = strings.Contains(text, "`"+key+": ")
			}
			require.True(t, written, "%s: %s", of, key)
		}
	}
	for _, name := range append([]string{"pull", "random", "round_robin", "least_loaded", "direct_supervisor"}, append(requirements, roles...)...) {
		require.Contains(t, text, "`"+name+"`")
	}
}

func TestPolicyPageListsEverySetting(t *testing.T) {
	t.Parallel()
	var rows strings.Builder
	for _, s := range AllSettings() {
		def := ""
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&rows, "| `%s` | `%s` | `--%s` | %s |\n", s.Path, s.Env, s.Flag, def)
	}
	require.Contains(t, page(t), "| the built-in configuration |\n"+rows.String())
}

// tables returns the rows of the tables marked "<!-- kind: of -->".
func tables(t *testing.T, kind string) (of []string, rows [][][]string) {
	t.Helper()
	for _, part := range strings.Split(page(t), "<!-- "+kind+":")[1:] {
		mark, rest, found := strings.Cut(part, "-->\n")
		require.True(t, found)
		var table [][]string
		for line := range strings.SplitSeq(rest, "\n") {
			if !strings.HasPrefix(line, "|") {
				break
			}
			cells := strings.Split(strings.Trim(line, "| "), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			table = append(table, cells)
		}
		require.Greater(t, len(table), 2)
		of = append(of, strings.TrimSpace(mark))
		rows = append(rows, table[2:])
	}
	require.NotEmpty(t, of)
	return of, rows
}

const pageTime = "Mon 2006-01-02 15:04:05.999 -07:00"

func readTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse("Mon 2006-01-02 15:04 -07:00", s)
	if err != nil {
		at, err = time.Parse("Mon 2006-01-02 15:04:05.000 -07:00", s)
	}
	require.NoError(t, err)
	require.Equal(t, s[:3], at.Format("Mon"), "the day of the week")
	return at
}

// same compares as people read: the instant, and the reading of the clock there.
func same(t *testing.T, want string, got time.Time, zone *time.Location) {
	t.Helper()
	at := readTime(t, want)
	require.Equal(t, at.Format(pageTime), got.In(zone).Format(pageTime))
	require.True(t, at.Equal(got))
}

func TestR02_PolicyPageClock(t *testing.T) {
	t.Parallel()
	c := pageConfig(t)
	of, all := tables(t, "clock")
	require.Len(t, of, 3)
	for i, rows := range all {
		calendar, zone := (*callback.Calendar)(nil), time.UTC
		if of[i] != "" {
			calendar = c.Calendars[of[i]]
			require.NotNil(t, calendar, of[i])
			var err error
			zone, err = time.LoadLocation(calendar.TimeZone)
			require.NoError(t, err)
		}
		for _, row := range rows {
			require.Len(t, row, 4)
			tat, err := time.ParseDuration(row[1])
			require.NoError(t, err)
			from := readTime(t, row[0])
			require.Equal(t, from.Format(pageTime), from.In(zone).Format(pageTime), "the zone's own time")
			same(t, row[2], calendar.Add(from, tat), zone)
		}
	}
}

// TestR02_PolicyPageLives plays the callbacks of the page by the rules. What the
// clock does must happen at the time given and not a millisecond before.
func TestR02_PolicyPageLives(t *testing.T) {
	t.Parallel()
	conf := pageConfig(t)
	of, all := tables(t, "life")
	require.Len(t, of, 4)
	sup := callback.Person{ID: "sup1", Rank: 2, Queues: []string{"Supervisors - RM"}}
	for i, rows := range all {
		p := conf.Policies[of[i]].Pin("", "")
		zone, err := time.LoadLocation(p.Calendar.TimeZone)
		require.NoError(t, err)
		var c *callback.Callback
		for _, row := range rows {
			require.Len(t, row, 3)
			now := readTime(t, row[0])
			what, when, _ := strings.Cut(strings.NewReplacer(" for ", "@", " until ", "@").Replace(row[1]), "@")
			var at callback.Instant
			if when != "" {
				at = callback.At(readTime(t, when))
			}
			do := func(commands ...callback.Command) {
				t.Helper()
				if c.Assignee == "" {
					commands = append([]callback.Command{callback.Claim{}}, commands...)
				}
				for _, cmd := range commands {
					_, fault := c.Do(p, cmd, sup, now, p.Calendar)
					require.Nil(t, fault, "%v: %v", row, fault)
				}
			}
			switch what {
			case "requested":
				c, _ = callback.Open(p, callback.Request{ID: "x", By: "assoc1", At: callback.At(now), ScheduledFor: at}, p.Calendar)
			case "held":
				do(callback.Start{}, callback.HoldClock{Until: at})
			case "resumed":
				do(callback.Resume{})
			case "rescheduled":
				do(callback.Reschedule{For: at})
			case "warned", "breached", "escalated", "reminded":
				require.Empty(t, c.Advance(p, now.Add(-time.Millisecond), p.Calendar), "%v: too early", row)
				var types []string
				for _, e := range c.Advance(p, now, p.Calendar) {
					types = append(types, string(e.Fact.Type()))
				}
				require.Contains(t, types, what, "%v", row)
			default:
				require.Fail(t, "the page speaks of something else", what)
			}
			same(t, row[2], c.DueAt.Time, zone)
		}
	}
}

package desk

import (
	"encoding/csv"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"ringback/callback"
)

// safeCell keeps a spreadsheet from taking text for a formula: what begins like
// one is written with an apostrophe before it
// (https://owasp.org/www-community/attacks/CSV_Injection).
func safeCell(s string) string {
	bare := strings.TrimLeft(s, " \u00a0\u3000")
	if strings.IndexAny(bare, "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") == 0 {
		return "'" + s
	}
	return s
}

// table begins a CSV file.
func (v *visit) table(name string, heads ...string) (row func(cells ...string) error, flush func() error) {
	h := v.w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	v.w.WriteHeader(http.StatusOK)
	_, _ = v.w.Write([]byte("\ufeff")) // spreadsheets take it for UTF-8 by this alone
	w := csv.NewWriter(v.w)
	row = func(cells ...string) error {
		for i := range cells {
			cells[i] = safeCell(cells[i])
		}
		return w.Write(cells)
	}
	_ = row(slices.Clone(heads)...) // the writer keeps its error for Flush
	return row, func() error { w.Flush(); return w.Error() }
}

// activitiesCSV is the whole list as a file, in the viewer's zone.
func (v *visit) activitiesCSV() error {
	f := v.filters()
	sort := sorting(v.URL.Query().Get("sort"), f)
	if _, err := v.policies(); err != nil {
		return err
	}
	// The first page decides whether there is a file at all.
	items, next, err := v.list(with(f, "sort", sort, "limit", "200"))
	if err != nil {
		return err
	}
	zone := v.ZoneName()
	row, flush := v.table("callbacks", "id", "customer", "phone", "reference", "status", "clock", "tier", "queue", "kind", "assignee", "owner",
		"due ("+zone+")", "promised ("+zone+")", "reached ("+zone+")", "promise missed ("+zone+")", "calls", "escalations", "source", "reason", "resolution")
	for {
		for _, c := range items {
			if err := row(v.activityCells(c)...); err != nil {
				return nil //nolint:nilerr // whoever asked has gone; there is nobody to tell
			}
		}
		if next == "" {
			break
		}
		if items, next, err = v.list(with(f, "sort", sort, "limit", "200", "cursor", next)); err != nil {
			v.cutOff(err)
		}
	}
	_ = flush() // whoever went away does not wait for it
	return nil
}

// cutOff ends a file in the middle: it must not look whole.
func (v *visit) cutOff(err error) {
	v.Logger.ErrorContext(v.ctx(), "a file was cut off", "error", err.Error())
	panic(http.ErrAbortHandler)
}

func (v *visit) activityCells(c *item) []string {
	at := func(i callback.Instant) string {
		if i.IsZero() {
			return ""
		}
		return i.In(v.Zone).Format("2006-01-02 15:04:05")
	}
	name := func(id *string) string {
		if id == nil {
			return ""
		}
		return v.Name(*id)
	}
	ref, source := "", ""
	if c.Customer != nil {
		ref = text(c.Customer.Ref)
	}
	if c.Source != nil {
		source = c.Source.System + " " + c.Source.Ref
	}
	return []string{
		c.ID, c.CustomerName(), c.Phone(), ref, c.StatusWord(), c.State().Word, c.Tier, c.Queue, c.Kind(), name(c.Assignee), name(c.Owner),
		at(c.DueAt), at(c.RequestedAt), at(c.ContactedAt), at(c.BreachedAt), strconv.Itoa(c.Attempts), strconv.Itoa(c.Escalations), source,
		c.ReasonText(), text(c.ResolutionReason),
	}
}

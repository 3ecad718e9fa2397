package desk

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ringback/api"
	"ringback/callback"
)

// auditPage is where an auditor begins.
type auditPage struct {
	*Frame
	Closed, Open []*item
}

// mustAudit refuses everybody but auditors, as the API would.
func (v *visit) mustAudit() error {
	if v.MayDo("audit") {
		return nil
	}
	rule := "R24"
	return &refusal{api.Problem{
		Status: http.StatusForbidden, Title: "You may not see this", Detail: "Only an auditor may see histories. Timelines are for everybody: they are on each callback's page.", Rule: &rule,
	}}
}

func (v *visit) audit() error {
	if err := v.mustAudit(); err != nil {
		return err
	}
	if id := strings.TrimSpace(v.URL.Query().Get("id")); id != "" {
		http.Redirect(v.w, v.Request, "/audit/"+url.PathEscape(id), http.StatusSeeOther)
		return nil
	}
	v.Title, v.Nav = "Audit", "audit"
	v.Rules = rulesAbout("R24", "R25", "R26", "R27", "R21")
	if _, err := v.policies(); err != nil {
		return err
	}
	p := &auditPage{Frame: v.Frame}
	newest := url.Values{"sort": {"-requested_at"}, "limit": {"25"}}
	var err error
	if p.Closed, _, err = v.list(with(newest, "status", "completed,cancelled")); err != nil {
		return err
	}
	if p.Open, _, err = v.list(with(newest, "status", strings.Join(openStatuses, ","))); err != nil {
		return err
	}
	return v.show("audit", p)
}

// historyPage is the history of one callback, and what can be done with it.
type historyPage struct {
	*item
	Events []historyEvent
	// Away says why there is no history to be seen.
	Away *api.Problem
	Size string
}

// historyEvent is one event of Temporal's, in a line.
type historyEvent struct {
	ID   string
	At   callback.Instant
	Type string
	What string
}

func (v *visit) history() error {
	if err := v.mustAudit(); err != nil {
		return err
	}
	id := v.PathValue("id")
	var c api.Callback
	if err := v.get(callbackPath(id), nil, &c); err != nil {
		return err
	}
	if _, err := v.policies(); err != nil {
		return err
	}
	p := &historyPage{item: v.item(&c)}
	v.Title, v.Nav, v.Module = "History of "+p.Short(), "audit", "audit.js"
	v.Rules = rulesAbout("R24", "R26", "R25")
	raw, err := v.api.fetch(v.ctx(), callbackPath(id)+"/history", nil)
	if refused, is := err.(*refusal); is { //nolint:errorlint // fetch's own
		p.Away = &refused.Problem
		return v.show("history", p)
	}
	if err != nil {
		return err
	}
	p.Size = number(float64(raw.body.Len())/1024) + " KiB"
	var history struct {
		Events []map[string]any `json:"events"`
	}
	if err := json.Unmarshal(raw.body.Bytes(), &history); err != nil {
		return fmt.Errorf("decoding a history: %w", err)
	}
	for _, e := range history.Events {
		p.Events = append(p.Events, eventOf(e))
	}
	return v.show("history", p)
}

// eventOf is what an event says at a glance.
func eventOf(e map[string]any) historyEvent {
	text := func(m map[string]any, name string) string { s, _ := m[name].(string); return s }
	h := historyEvent{ID: text(e, "eventId"), Type: title(strings.ToLower(strings.TrimPrefix(text(e, "eventType"), "EVENT_TYPE_")))}
	if at, err := time.Parse(time.RFC3339Nano, text(e, "eventTime")); err == nil {
		h.At = callback.At(at)
	}
	if metadata, is := e["userMetadata"].(map[string]any); is {
		h.What = payloadText(metadata["summary"])
	}
	for name, value := range e {
		attributes, is := value.(map[string]any)
		if !is || !strings.HasSuffix(name, "EventAttributes") {
			continue
		}
		for _, path := range [][]string{{"acceptedRequest", "input", "name"}, {"request", "input", "name"}, {"signalName"}, {"activityType", "name"}, {"workflowType", "name"}, {"markerName"}, {"startToFireTimeout"}} {
			if found := dig(attributes, path); found != "" {
				h.What = strings.TrimPrefix(h.What+" · "+found, " · ")
				break
			}
		}
	}
	return h
}

func dig(m map[string]any, path []string) string {
	for _, name := range path[:len(path)-1] {
		next, is := m[name].(map[string]any)
		if !is {
			return ""
		}
		m = next
	}
	s, _ := m[path[len(path)-1]].(string)
	return s
}

// payloadText reads a summary, which is a payload of JSON text.
func payloadText(v any) string {
	m, _ := v.(map[string]any)
	data, _ := m["data"].(string)
	var b []byte
	if json.Unmarshal([]byte(`"`+data+`"`), &b) != nil {
		return ""
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s
}

// historyFile is the history as it is.
func (v *visit) historyFile() error {
	if err := v.mustAudit(); err != nil {
		return err
	}
	id := v.PathValue("id")
	raw, err := v.api.fetch(v.ctx(), callbackPath(id)+"/history", nil)
	if err != nil {
		return err
	}
	v.download("application/json", "history-"+shortID(id)+".json")
	send(v.w, v.Request, http.StatusOK, raw.body.Bytes())
	return nil
}

func (v *visit) download(media, name string) {
	v.w.Header().Set("Content-Type", media)
	v.w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}

// bundleReadMe explains a bundle to whoever opens it without this desk.
const bundleReadMe = `What is in here

history.json    the Temporal history of one callback as protobuf JSON
timeline.json   what the desk showed of it, without what people wrote
deadline.json   how its promise came about: policy, working time, holds
SHA256SUMS      of the three: sha256sum -c SHA256SUMS

Nothing in here is personal: no name, number, address or free text of a customer
is in a history, and the texts were left out of the timeline.

To prove that the history leads to this outcome:

  ringback audit replay history.json
`

// bundle is what an auditor takes along: it holds nothing personal, and can be
// replayed elsewhere.
func (v *visit) bundle() error {
	if err := v.mustAudit(); err != nil {
		return err
	}
	id := v.PathValue("id")
	history, err := v.api.fetch(v.ctx(), callbackPath(id)+"/history", nil)
	if err != nil {
		return err
	}
	var t api.Timeline
	if err := v.get(callbackPath(id)+"/timeline", nil, &t); err != nil {
		return err
	}
	for i := range t.Items {
		delete(t.Items[i].Data, "text")
	}
	timeline, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	deadline, err := v.api.fetch(v.ctx(), callbackPath(id)+"/deadline", nil)
	if err != nil {
		return err
	}
	files := []struct {
		name string
		body []byte
	}{{"history.json", history.body.Bytes()}, {"timeline.json", timeline}, {"deadline.json", deadline.body.Bytes()}}
	var sums, out bytes.Buffer
	z := zip.NewWriter(&out)
	put := func(name string, body []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: v.now})
		if err == nil {
			_, err = w.Write(body)
		}
		return err
	}
	for _, f := range files {
		sum := sha256.Sum256(f.body)
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), f.name)
		if err := put(f.name, f.body); err != nil {
			return fmt.Errorf("bundling %s: %w", f.name, err)
		}
	}
	if err := put("SHA256SUMS", sums.Bytes()); err != nil {
		return fmt.Errorf("bundling the sums: %w", err)
	}
	if err := put("README.txt", []byte(bundleReadMe)); err != nil {
		return fmt.Errorf("bundling the explanation: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("bundling: %w", err)
	}
	v.download("application/zip", "callback-"+shortID(id)+".zip")
	write(v.w, v.Request, http.StatusOK, out.Bytes(), nil)
	return nil
}

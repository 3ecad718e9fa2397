package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime/quotedprintable"
	"regexp"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"ringback/book"
)

// Where something personal of a customer can be, and what Erase does there (R26).
// A test compares this list with the schema, and another one looks for what is
// left, in every column.
var personal = map[string]string{
	"intakes":          "emptied: customer, reason, source, fields, how a transfer went; what routed it stays, and a keyed digest of the source",
	"texts":            "emptied; their ids, authors and times stay, as the histories name them; staged ones are deleted",
	"search":           "deleted",
	"errands":          "stored answers lose what is personal, keys are forgotten; a keyed digest of each still finds them",
	"open_sources":     "deleted",
	"connector_memory": "what is kept under a callback's id is deleted; elsewhere references are struck out, and keys made of them become keyed digests",
	"inbound_messages": "those in which the customer's number, address or a reference stands are emptied, and never replayed",
	"api_keys":         "",
	"callbacks":        "",
	"deliveries":       "",
	"draw_waits":       "",
	"draws":            "",
	"feed":             "",
	"histories":        "",
	"leases":           "",
	"list_views":       "",
	"outages":          "",
	"policies":         "",
	"presence":         "",
	"promises":         "",
	"reservations":     "",
	"sessions":         "",
	"settings":         "",
	"staff":            "",
	"staff_queues":     "",
	"tags":             "",
	"timeline":         "",
}

// eraseWithin bounds one erasure: it looks through tables that no index serves.
const eraseWithin = time.Minute

// struck stands where something personal stood and something has to.
const struck = "erased"

// Erase empties every original of a customer, in one transaction, and notes who
// did so and when; no history is touched, and nothing that is shown of one
// changes (R26). Whose callback it is names the customer: all callbacks with the
// same reference are emptied, and those without one to the same phone number.
//
// A customer of whom a callback is still open, owed to another system, or about to
// be archived is refused with a *book.NotErasableError. A callback that was
// emptied already is emptied again, of what came late, and counts for nothing.
// book.ErrRepeated: the errand that Conclude makes has an answer already.
func (s *Store) Erase(ctx context.Context, e book.Erase) (erased book.Erased, err error) {
	key, err := s.HashKey(ctx)
	if err != nil {
		return book.Erased{}, err
	}
	ctx, end := s.span(ctx, "erase a customer")
	defer func() { end(err) }()
	ctx, cancel := context.WithTimeout(ctx, eraseWithin)
	defer cancel()
	err = s.transact(ctx, "erase a customer", func(tx *gorm.DB) error {
		if err := s.longer(tx); err != nil {
			return err
		}
		if err := s.shred(tx, true); err != nil {
			return err
		}
		x := &erasure{store: s, tx: tx, Erase: e, key: key}
		if erased, err = x.run(); err != nil || e.Conclude == nil {
			return err
		}
		errand, err := e.Conclude(erased)
		if err != nil {
			return err
		}
		return answered(tx, errand, s.now())
	})
	if err != nil {
		return book.Erased{}, err
	}
	if erased.Callbacks > 0 {
		s.feed.grown()
	}
	s.purge(ctx)
	return erased, nil
}

// shred has SQLite overwrite what is deleted, also where that costs writing.
func (s *Store) shred(tx *gorm.DB, all bool) error {
	if s.name != "sqlite" {
		return nil
	}
	how := "fast"
	if all {
		how = "on"
	}
	var was int
	return one(tx.Raw(`PRAGMA secure_delete = `+how), &was)
}

// purge takes what was erased out of the log that SQLite writes ahead, unless a
// reader needs it right now: then the log is overwritten later.
func (s *Store) purge(ctx context.Context) {
	if s.name != "sqlite" {
		return
	}
	_ = s.shred(s.writer.WithContext(ctx), false)
	var busy, logged, moved int
	_ = one(s.writer.WithContext(ctx).Raw(`PRAGMA wal_checkpoint(TRUNCATE)`), &busy, &logged, &moved)
}

// erasure is one transaction of Erase.
type erasure struct {
	book.Erase
	store *Store
	tx    *gorm.DB
	key   []byte
	// ids are the customer's callbacks; originals what was asked for each.
	ids       []string
	originals []intakeRow
	marks     marks
}

func (x *erasure) run() (erased book.Erased, err error) {
	named, err := x.original(x.CallbackID)
	if err != nil {
		return erased, err
	}
	if err := x.find(&named); err != nil {
		return erased, err
	}
	views, err := x.lock()
	if err != nil {
		return erased, err
	}
	if x.Check != nil {
		if v, shown := views[x.CallbackID]; shown {
			if err := x.Check(v); err != nil {
				return erased, err
			}
		}
	}
	for _, o := range x.originals {
		if !o.ErasedAt.IsZero() {
			continue
		}
		if err := x.ready(o.CallbackID, views); err != nil {
			return erased, err
		}
	}
	if erased.Left, err = x.left(); err != nil {
		return erased, err
	}
	x.marks = marksOf(x.originals)
	for _, step := range []func() error{x.texts, x.index, x.answers, x.memory, x.messages} {
		if err := step(); err != nil {
			return erased, err
		}
	}
	for _, o := range x.originals {
		v, shown := views[o.CallbackID]
		if err := x.empty(o, v); err != nil {
			return erased, err
		}
		if !o.ErasedAt.IsZero() {
			continue
		}
		erased.Callbacks++
		if !shown {
			continue
		}
		v.Intake.Erased = &book.Erasure{By: x.By, At: x.At, Ground: x.Ground, After: v.State.Version}
		if err := x.store.appendErased(x.tx, v); err != nil {
			return erased, err
		}
	}
	return erased, nil
}

func (x *erasure) original(id string) (row intakeRow, err error) {
	err = one(x.tx.Raw(`SELECT `+intakeColumns+` FROM intakes i WHERE i.callback_id = ?`+x.store.forUpdateOf("i"), id), row.columns()...)
	return row, err
}

// find lists the callbacks of the customer of one: by reference and by the
// numbers under it; without one by number, else by address.
func (x *erasure) find(named *intakeRow) error {
	var query *gorm.DB
	switch {
	case !named.ErasedAt.IsZero():
		x.ids = []string{named.CallbackID} // that is all that is known
		return nil
	case named.CustomerRef != "":
		query = x.tx.Raw(`SELECT callback_id FROM intakes WHERE customer_ref = ?
			UNION SELECT callback_id FROM intakes WHERE customer_ref = '' AND customer_phone <> ''
				AND customer_phone IN (SELECT customer_phone FROM intakes WHERE customer_ref = ?)
			ORDER BY callback_id`, named.CustomerRef, named.CustomerRef)
	case named.CustomerPhone != "":
		query = x.tx.Raw(`SELECT callback_id FROM intakes WHERE customer_phone = ? AND customer_ref = '' ORDER BY callback_id`, named.CustomerPhone)
	case named.CustomerEmail != "":
		query = x.tx.Raw(`SELECT callback_id FROM intakes WHERE customer_email = ? AND customer_ref = '' AND customer_phone = ''
			ORDER BY callback_id`, named.CustomerEmail)
	default:
		x.ids = []string{named.CallbackID}
		return nil
	}
	var err error
	x.ids, err = column[string](query)
	return err
}

// lock keeps the customer's callbacks as they are, in one order for all who do so, and
// reads what is shown of them.
func (x *erasure) lock() (map[string]book.View, error) {
	views := map[string]book.View{}
	for _, id := range x.ids {
		v, known, err := x.store.lock(x.tx, id)
		if err != nil {
			return nil, err
		}
		if known {
			views[id] = v
		}
		o, err := x.original(id)
		if err != nil {
			return nil, err
		}
		x.originals = append(x.originals, o)
	}
	return views, nil
}

// ready refuses what is still under way.
func (x *erasure) ready(id string, views map[string]book.View) error {
	v, shown := views[id]
	if !shown {
		// Its promise may be on its way to the engine right now.
		var errand string
		begun, err := maybe(x.tx.Raw(`SELECT id FROM errands WHERE callback_id = ? AND command = ? AND answered_at IS NULL`, id, commandCreate), &errand)
		if err == nil && begun {
			err = &book.NotErasableError{CallbackID: id, Why: book.StillOpen}
		}
		return err
	}
	if !v.State.Status.Closed() {
		return &book.NotErasableError{CallbackID: id, Why: book.StillOpen}
	}
	var destination string
	owed, err := maybe(x.tx.Raw(`SELECT destination FROM deliveries WHERE callback_id = ? AND state IN ?`,
		id, []book.DeliveryState{book.DeliveryTrying, book.DeliveryOwed}), &destination)
	if err != nil {
		return err
	}
	if len(v.State.Owed) > 0 {
		owed, destination = true, v.State.Owed[0].Destination
	}
	if owed {
		return &book.NotErasableError{CallbackID: id, Why: book.StillOwed, Destination: destination}
	}
	if !v.State.ClosedAt.After(x.SettledBy.Time) {
		return nil
	}
	var run string
	archived, err := maybe(x.tx.Raw(`SELECT run_id FROM histories WHERE callback_id = ? AND closed_at >= ?`, id, instant{v.State.ClosedAt}), &run)
	if err == nil && !archived {
		err = &book.NotErasableError{CallbackID: id, Why: book.StillClosing}
	}
	return err
}

// left counts the callbacks to the same numbers that are somebody else's.
func (x *erasure) left() (int, error) {
	var phones []string
	ref := ""
	for _, o := range x.originals {
		if o.CustomerPhone != "" {
			phones = append(phones, o.CustomerPhone)
		}
		ref = max(ref, o.CustomerRef)
	}
	if len(phones) == 0 {
		return 0, nil
	}
	var n int
	err := one(x.tx.Raw(`SELECT COUNT(*) FROM intakes WHERE customer_phone IN ? AND customer_ref <> '' AND customer_ref <> ?`, phones, ref), &n)
	return n, err
}

func (x *erasure) texts() error {
	if err := x.tx.Exec(`DELETE FROM texts WHERE callback_id IN ? AND seq IS NULL`, x.ids).Error; err != nil {
		return err
	}
	return x.tx.Exec(`UPDATE texts SET body = '' WHERE callback_id IN ?`, x.ids).Error
}

func (x *erasure) index() error {
	for _, table := range []string{"search", "open_sources"} {
		if err := x.tx.Exec(`DELETE FROM `+table+` WHERE callback_id IN ?`, x.ids).Error; err != nil {
			return err
		}
	}
	return nil
}

// answers rewrites what a repeat of a command would be given. An errand is
// found by its id, a keyed digest, so that its key need not be kept.
func (x *erasure) answers() error {
	var rows []errandRow
	if err := x.tx.Where("callback_id IN ?", x.ids).Find(&rows).Error; err != nil {
		return err
	}
	for _, r := range rows {
		body := r.AnswerBody
		if len(body) > 0 && x.Redact != nil {
			var err error
			if body, err = x.Redact(r.Command, body); err != nil {
				return err
			}
		}
		err := x.tx.Exec(`UPDATE errands SET answer_body = ?, idempotency_key = CASE WHEN idempotency_key = '' THEN '' ELSE ? END WHERE id = ?`,
			body, struck, r.ID).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// empty empties one original.
func (x *erasure) empty(o intakeRow, v book.View) error {
	if o.SourceRef != "" {
		o.ErasedSource = sourceDigest(x.key, o.SourceSystem, o.SourceRef)
	}
	o.CustomerRef, o.CustomerName, o.CustomerPhone, o.CustomerEmail, o.CustomerTimeZone = "", "", "", "", ""
	o.Reason, o.SourceSystem, o.SourceRef, o.SourceURL, o.TransferTier, o.TransferOutcome = "", "", "", "", "", ""
	o.Fields.of = map[string]string{}
	if o.ErasedAt.IsZero() {
		o.ErasedAt, o.ErasedBy, o.ErasedFor = instant{x.At}, x.By, string(x.Ground)
		if v.State != nil {
			o.ErasedAfter = v.State.Version
		}
	}
	return x.tx.Select("*").Updates(&o).Error
}

// memory goes through what connectors remember.
func (x *erasure) memory() error {
	type change struct {
		memoryRow
		key, value string
		forget     bool
	}
	var changes []change
	rekeyed := map[string]bool{}
	mine := func(s string) bool {
		return slices.ContainsFunc(x.ids, func(id string) bool { return strings.Contains(s, id) })
	}
	err := each(x.tx.Raw(`SELECT connector, key, value FROM connector_memory`), func(rows *sql.Rows) error {
		var r memoryRow
		if err := rows.Scan(&r.Connector, &r.Key, &r.Value); err != nil {
			return err
		}
		about, register := mine(r.Value), unkeyed.MatchString(r.Key)
		c := change{memoryRow: r, key: r.Key, forget: mine(r.Key), value: x.marks.strike(r.Connector, r.Value, about, register)}
		if x.marks.ends(r.Key) || register && (about || c.value != r.Value) {
			c.key = memoryDigest(x.key, r.Connector, r.Key)
			base, _, _ := strings.Cut(r.Key, "#")
			rekeyed[r.Connector+"\n"+base] = true
		}
		if c.forget || c.key != r.Key || c.value != r.Value {
			changes = append(changes, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		if c.forget {
			err = forget(x.tx, c.Connector, c.Key)
		} else {
			err = x.rekey(c.Connector, c.Key, c.key, c.value)
		}
		if err != nil {
			return err
		}
	}
	// Numbered values have a row beside them that says which is the last.
	for of := range rekeyed {
		connector, key, _ := strings.Cut(of, "\n")
		var value string
		found, err := maybe(x.tx.Raw(`SELECT value FROM connector_memory WHERE connector = ? AND key = ?`, connector, key), &value)
		if err == nil && found {
			err = x.rekey(connector, key, memoryDigest(x.key, connector, key), value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rekey moves a row; what was moved there before is what it takes the place of.
func (x *erasure) rekey(connector, from, to, value string) error {
	if from != to {
		if err := forget(x.tx, connector, to); err != nil {
			return err
		}
	}
	return x.tx.Exec(`UPDATE connector_memory SET key = ?, value = ? WHERE connector = ? AND key = ?`, to, value, connector, from).Error
}

// memoryDigest is a key of a connector of which nothing can be learnt but what kind
// of thing it is, by which it is forgotten in its time.
func memoryDigest(secret []byte, connector, key string) string {
	kind, _, some := strings.Cut(key, ":")
	if kind += ":"; !some {
		kind = ""
	}
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte("memory\n" + connector + "\n" + key)) // never fails
	return kind + struck + ":" + hex.EncodeToString(mac.Sum(nil)[:20])
}

// sourceDigest is a source of which nothing can be learnt.
func sourceDigest(secret []byte, system, ref string) string {
	mac := hmac.New(sha256.New, secret)
	_, _ = mac.Write([]byte("source\n" + system + "\n" + ref)) // never fails
	return hex.EncodeToString(mac.Sum(nil)[:20])
}

// unkeyed are the digests that connectors make of references.
var unkeyed = regexp.MustCompile(`(^|[^0-9a-f])[0-9a-f]{32}($|[^0-9a-f])`)

// messages empties what came in about the customer and was not understood.
func (x *erasure) messages() error {
	if len(x.marks.words) == 0 {
		return nil
	}
	var about []string
	err := each(x.tx.Raw(`SELECT id, connector, body FROM inbound_messages`), func(rows *sql.Rows) error {
		var id, connector string
		var body []byte
		if err := rows.Scan(&id, &connector, &body); err != nil {
			return err
		}
		if x.marks.in(connector, body) {
			about = append(about, id)
		}
		return nil
	})
	if err != nil || len(about) == 0 {
		return err
	}
	return x.tx.Exec(`UPDATE inbound_messages SET body = ?, reason = ?, replayed_at = COALESCE(replayed_at, ?) WHERE id IN ?`,
		[]byte{}, struck, instant{x.At}, about).Error
}

// marks are by what a customer, or a ticket of theirs, is known elsewhere.
type marks struct {
	// words are whole values; systems are those that the customer's tickets are in.
	words, systems map[string]bool
	// somewhere finds them in the midst of a text: what is long enough for that.
	somewhere []*regexp.Regexp
}

const (
	// shortestMark is how many characters a reference has that is looked for where it
	// might be anything: a shorter one would be found in what is about others.
	shortestMark = 4
	// dialledDigits of a number, from its end, are the same however it is written.
	dialledDigits = 9
)

func marksOf(originals []intakeRow) marks {
	m := marks{words: map[string]bool{}, systems: map[string]bool{}}
	for _, o := range originals {
		m.systems[o.SourceSystem] = true
		for _, word := range []string{o.CustomerRef, o.CustomerEmail, o.CustomerPhone, o.SourceRef, o.SourceURL} {
			if word == "" || m.words[word] {
				continue
			}
			m.words[word] = true
			if len(word) >= shortestMark && word != o.CustomerPhone {
				m.somewhere = append(m.somewhere, regexp.MustCompile(`(?i)(^|[^\pL\pN])`+regexp.QuoteMeta(word)+`($|[^\pL\pN])`))
			}
		}
		if digits := onlyDigits(o.CustomerPhone); digits != "" {
			digits = digits[max(0, len(digits)-dialledDigits):]
			m.somewhere = append(m.somewhere, regexp.MustCompile(strings.Join(strings.Split(digits, ""), `[ ().\-/]*`)+`($|[^0-9])`))
		}
	}
	return m
}

// among reports that a value is a mark; anywhere: in what may be about anybody,
// where a short one says nothing.
func (m marks) among(value string, anywhere bool) bool {
	return m.words[value] && (!anywhere || len(value) >= shortestMark)
}

// ends reports that what follows a colon in a key is a mark.
func (m marks) ends(key string) bool {
	for rest, more := key, true; more; {
		if m.words[rest] {
			return true
		}
		_, rest, more = strings.Cut(rest, ":")
	}
	return false
}

// in reports that a message of a connector is about the customer.
func (m marks) in(connector string, body []byte) bool {
	if value, is := parsed(string(body)); is && m.strikeIn(&value, !m.systems[connector]) {
		return true
	}
	for _, text := range [][]byte{body, unquoted(body)} {
		if slices.ContainsFunc(m.somewhere, func(r *regexp.Regexp) bool { return r.Match(text) }) {
			return true
		}
	}
	return false
}

// unquoted is a mail's text as it was before it was made quoted-printable.
func unquoted(body []byte) []byte {
	text, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body)))
	if err != nil && len(text) == 0 {
		return nil // it is something else
	}
	return text
}

// parsed is a JSON object or list; false: it is none.
func parsed(s string) (value any, is bool) {
	if !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	err := d.Decode(&value)
	return value, err == nil && errors.Is(d.Decode(new(any)), io.EOF)
}

// strike takes the marks out of what a connector remembers: mine is about the
// customer's callbacks, register under a digest of references; of the rest only
// the lists of what to look at name tickets, as words.
func (m marks) strike(connector, s string, mine, register bool) string {
	value, is := parsed(s)
	switch {
	case is && (mine || register):
		if !m.strikeIn(&value, !mine) {
			return s
		}
		b, err := json.Marshal(value)
		if err != nil {
			return ""
		}
		return string(b)
	case is || !mine && !m.systems[connector]:
		return s
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if (i > 0 || mine) && m.words[word] { // alone, a number is a place on a list
			words[i] = struck
		}
	}
	return strings.Join(words, " ")
}

// strikeIn takes the marks out of what is in JSON, and reports whether any was there.
func (m marks) strikeIn(value *any, anywhere bool) (found bool) {
	switch v := (*value).(type) {
	case string:
		if found = m.among(v, anywhere); found {
			*value = struck
		}
	case json.Number:
		if found = m.among(v.String(), anywhere); found {
			*value = json.Number("0")
		}
	case []any:
		for i := range v {
			found = m.strikeIn(&v[i], anywhere) || found
		}
	case map[string]any:
		for name, inner := range v {
			found = m.strikeIn(&inner, anywhere) || found
			v[name] = inner
		}
	}
	return found
}

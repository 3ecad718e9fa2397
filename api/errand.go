package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// A command's way (HOUSE §2): it is written down as an errand, sent to the
// engine, and settled with its outcome, so that whatever dies in between, the
// read model catches up and a repeat learns what became of it.
//
// A refusal leaves nothing behind. An accepted command is never lost: where it
// cannot be settled in time the answer is 202, and the errand stays open for a
// repeat, or the sweeper, to settle.

// work is what one operation puts on that way.
type work struct {
	name       string
	callbackID string
	// view is what the read model has of the callback; nil: nothing yet, or the database is away.
	view *book.View
	// away is why the read model could not be read. Only a command that carries no
	// text goes on then.
	away error
	// prepare checks what depends on the configuration, on people and on the time,
	// and says what to stage, send and answer. It runs once it is known that the
	// request has no answer yet.
	prepare func(ctx context.Context, e *errand) error
	// local: the engine checks nothing of it; evenClosed: it may be asked of a closed callback.
	local, evenClosed bool
}

// errand is one command of one request on its way.
type errand struct {
	book.Errand
	who    Principal
	texts  []book.Text
	intake *book.Intake
	// reservation is the one that it uses; no other errand can (R06).
	reservation string
	needsBook   bool // it cannot go on while the database is away
	// taken: somebody began it before, so that it may have been accepted already.
	taken bool
	// ifVersion is the version that If-Match asks for; 0: any.
	ifVersion int64
	// check refuses what the engine would not; it comes after closed.
	check func() error
	// late is a refusal of state found while preparing; it comes after all that the
	// rules refuse, and the engine is not asked.
	late func(v *book.View, p *callback.Policy) error
	// send gives it to the engine; blind: nobody will settle it, so the workflow projects.
	send func(ctx context.Context, blind bool) (contract.Outcome, error)
	// accepted does what an accepted command brings about beside the callback; it does not wait.
	accepted func()
	// answer is what is answered when it is settled; unsettled, if set, instead of
	// Accepted when that takes too long.
	answer    func(v book.View) (*answer, error)
	unsettled func() (*answer, error)
}

// lease is how long an errand is its beginner's: longer than it can take.
func (a *API) lease() callback.Instant {
	return a.instant().Plus(callback.Duration(a.limits.Engine + a.limits.Settle + 5*time.Second))
}

// text stages what somebody wrote and returns its id, which is the same when
// the request is sent again; empty for nothing.
func (e *errand) text(kind book.TextKind, body string) string {
	if strings.TrimSpace(body) == "" {
		return ""
	}
	space, err := uuid.Parse(e.ID)
	if err != nil {
		space = uuid.Nil
	}
	id := uuid.NewSHA1(space, []byte(kind)).String()
	e.texts = append(e.texts, book.Text{
		ID: id, CallbackID: e.CallbackID, Kind: kind, Author: e.who.ID, Body: body, CreatedAt: e.CreatedAt,
	})
	return id
}

// carry takes a command all the way.
func (a *API) carry(ctx context.Context, r *request, w *work) (*answer, error) {
	e, err := a.newErrand(ctx, r, w)
	if err != nil {
		return nil, err
	}
	if e.Key != "" {
		leave, err := a.flights.board(ctx, e.ID)
		if err != nil {
			return nil, ErrOutcomeUnknown
		}
		defer leave()
	}
	for {
		given, again, err := a.attempt(ctx, r, w, e)
		if err != nil || !again {
			return given, err
		}
	}
}

// attempt is one try; again: somebody else began the same request meanwhile, or
// used what it was to use.
func (a *API) attempt(ctx context.Context, r *request, w *work, e *errand) (given *answer, again bool, err error) {
	if e.Key != "" && w.away == nil {
		if given, err = a.resume(ctx, e); given != nil {
			return given, false, nil
		}
		if away(err) {
			w.away, err = err, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	e.texts, e.late, e.reservation = nil, nil, ""
	err = w.prepare(ctx, e)
	if err == nil {
		err = a.before(r, w, e)
	}
	if err != nil {
		if e.taken { // what became of the first try is still to be learnt
			a.release(ctx, e)
		}
		return nil, false, err
	}
	// What has begun is brought to its end, whether or not the caller still listens.
	ctx = context.WithoutCancel(ctx)
	if w.away == nil && !e.taken {
		e.LeaseUntil = a.lease()
		existing, err := a.book.Begin(ctx, book.Begin{
			Errand: e.Errand, Intake: e.intake, Texts: e.texts, Reservation: e.reservation,
		})
		switch {
		case errors.Is(err, book.ErrNoneAvailable): // somebody else has just used it, which is told in its turn
			return nil, true, nil
		case away(err):
			w.away = err
		case err != nil:
			return nil, false, err
		case existing != nil:
			return nil, true, nil
		}
	}
	if w.away != nil {
		if e.needsBook || len(e.texts) > 0 || e.taken {
			return nil, false, w.away
		}
		given, err = a.sendBlind(ctx, w, e)
		return given, false, err
	}
	given, err = a.send(ctx, w, e)
	return given, false, err
}

// away tells that the database, not the request, is why something failed.
func away(err error) bool {
	return errors.Is(err, book.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// newErrand names the errand: by its key, or at random.
func (a *API) newErrand(ctx context.Context, r *request, w *work) (*errand, error) {
	key, err := idempotencyKey(r.Request)
	if err != nil {
		return nil, err
	}
	e := &errand{who: r.who, Errand: book.Errand{
		ID: uuid.NewString(), Principal: r.who.ID, Path: r.URL.Path, Key: key, CallbackID: w.callbackID, Command: w.name,
		CreatedAt: a.instant(),
	}}
	if key == "" {
		return e, nil
	}
	secret, err := a.book.HashKey(ctx)
	if err != nil {
		return nil, err
	}
	id, err := uuid.FromBytes(keyed(secret, "errand", r.who.ID, r.URL.Path, key)[:16])
	if err != nil {
		return nil, err
	}
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // version 8 (RFC 9562): made in a way of our own
	e.ID = id.String()
	e.Digest = hex.EncodeToString(keyed(secret, "body", string(r.canonical))[:16])
	return e, nil
}

// keyed hashes strings so that no two lists of them read the same.
func keyed(secret []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, secret)
	for _, part := range parts {
		_, _ = mac.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // never fails
	}
	return mac.Sum(nil)
}

var saneKey = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

func idempotencyKey(r *http.Request) (string, error) {
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 || !saneKey.MatchString(keys[0]) {
		return "", callback.Invalid("Idempotency-Key", "expected one key of at most 255 printable ASCII characters, without spaces")
	}
	return keys[0], nil
}

// waitPause is how often another process's errand is looked at again.
const waitPause = 50 * time.Millisecond

// resume looks for an earlier try of the same request: it gives that one's
// answer, waits for it while it is under way, or takes it over. Nil and no
// error: there is none, or it is ours now.
func (a *API) resume(ctx context.Context, e *errand) (*answer, error) {
	for {
		earlier, err := a.book.Errand(ctx, e.ID)
		switch {
		case errors.Is(err, book.ErrNotFound):
			return nil, nil //nolint:nilnil // documented
		case err != nil:
			return nil, err
		case earlier.Digest != e.Digest:
			return nil, keyReused()
		case earlier.Answer != nil:
			return again(earlier.Answer), nil
		}
		// CreatedAt and the callback's id are those of the first try: whatever is made
		// of them comes out the same.
		now := a.instant()
		if !earlier.LeaseUntil.After(now.Time) {
			_, taken, err := a.book.TakeOver(ctx, e.ID, now.Plus(callback.Duration(time.Millisecond)), a.lease())
			if err == nil && taken {
				e.taken, e.Errand = true, earlier
				return nil, nil //nolint:nilnil // documented
			}
			if err != nil && !errors.Is(err, book.ErrNotFound) {
				return nil, err
			}
		}
		if !pause(ctx, waitPause) {
			return nil, ErrOutcomeUnknown
		}
	}
}

func keyReused() error {
	return refuse(callback.CodeIdempotencyKeyReused, "", "this Idempotency-Key came with another body before")
}

// again is an answer given once more.
func again(stored *book.Answer) *answer {
	return &answer{status: stored.Status, location: stored.Location, etag: stored.ETag, body: stored.Body}
}

// pause waits; false: ctx was done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// before checks what can be told without the engine: 412, closed, who.
//
// With a key, the engine may have accepted the same request already, and the
// read model may show what came of it: then the engine is asked, which gives
// the first outcome again, and it says stale or closed where it has none.
func (a *API) before(r *request, w *work, e *errand) error {
	if r.op.conditional {
		var have int64
		if w.view != nil {
			have = w.view.Version()
		}
		var err error
		if e.ifVersion, err = ifMatch(r.Request, have); err != nil {
			return err
		}
	}
	// A system's command has no outcome to give again: none is ever accepted.
	if w.view != nil && (w.local || e.Key == "" || e.late != nil || e.who.Staff == nil) && !e.taken {
		have := w.view.Version()
		if e.ifVersion != 0 && (e.ifVersion < have || (w.local || e.late != nil) && e.ifVersion != have) {
			return stale()
		}
		if w.view.State.Status.Closed() && !w.evenClosed {
			return closed(w.view.State)
		}
	}
	if e.check == nil {
		return nil
	}
	return e.check()
}

func stale() error {
	return refuse(callback.CodeStaleVersion, "", "the callback has changed since you read it")
}

func closed(c *callback.Callback) error {
	return refuse(callback.CodeClosed, "R09", "this callback is "+string(c.Status)+": nothing can happen to it any more")
}

// entityTag is one tag of a list (RFC 9110, 8.8.3): weak or not, and which. The
// tag itself may have commas in it.
var (
	entityTag  = regexp.MustCompile(`(W/)?"([\x21\x23-\x7e\x80-\xff]*)"`)
	entityTags = regexp.MustCompile(`^[ \t]*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*(?:,[ \t]*(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"[ \t]*)*$`)
)

// tagsOf reads the lists of entity tags of a header, each as its submatches of
// entityTag; every: it says "*". False: it cannot be read.
func tagsOf(values []string) (tags [][]string, every, ok bool) {
	whole := strings.Join(values, ",")
	if strings.TrimSpace(whole) == "*" {
		return nil, true, true
	}
	return entityTag.FindAllStringSubmatch(whole, -1), false, entityTags.MatchString(whole)
}

// ifMatch returns the version that If-Match asks for, 0 for any. Of several it
// is the one that is there, else the newest.
func ifMatch(r *http.Request, have int64) (int64, error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return 0, nil
	}
	tags, every, ok := tagsOf(values)
	switch {
	case !ok:
		return 0, callback.Invalid("If-Match", `expected versions like "7", or *`)
	case every:
		return 0, nil
	}
	newest := int64(-1) // no callback has it
	for _, m := range tags {
		version, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil || m[1] != "" || version < 1 || strconv.FormatInt(version, 10) != m[2] {
			continue // a tag that no callback has
		}
		if version == have {
			return version, nil
		}
		newest = max(newest, version)
	}
	return newest, nil
}

// ifNoneMatch tells whether the caller has this version already. Tags are
// compared weakly (RFC 9110, 13.1.2); what cannot be read is as if it were not sent.
func ifNoneMatch(r *http.Request, version int64) bool {
	values := r.Header.Values("If-None-Match")
	if len(values) == 0 {
		return false
	}
	tags, every, ok := tagsOf(values)
	return ok && (every || slices.ContainsFunc(tags, func(m []string) bool { return `"`+m[2]+`"` == etag(version) }))
}

// send gives the errand to the engine and settles it.
func (a *API) send(ctx context.Context, w *work, e *errand) (*answer, error) {
	sending, cancel := context.WithTimeout(ctx, a.limits.Engine)
	defer cancel()
	outcome, err := e.send(sending, false)
	over := e.Key != "" && errors.Is(err, ErrNoWorkflow)
	if over {
		outcome, err = a.heard(sending, e, err)
	}
	if err != nil {
		return nil, a.failed(ctx, w, e, err)
	}
	if e.Key != "" && outcome.Digest != e.Digest {
		return nil, a.drop(ctx, e, keyReused())
	}
	if e.accepted != nil && !over {
		e.accepted()
	}
	return a.settle(ctx, e, outcome)
}

// heard asks the histories what came of a command that no workflow takes any more. The engine tells the outcomes of a
// callback's last run alone, and only while it keeps that; a key is good for longer. The error is gone where nothing came of it.
func (a *API) heard(ctx context.Context, e *errand, gone error) (contract.Outcome, error) {
	if a.auditor == nil {
		return contract.Outcome{}, gone
	}
	first, heard, err := a.auditor.Heard(ctx, e.CallbackID, e.ID)
	switch {
	case err != nil:
		return contract.Outcome{}, errors.Join(ErrOutcomeUnknown, err)
	case !heard:
		return contract.Outcome{}, gone
	case first.Digest == "": // a signal's: the errand has been compared
		first.Digest = e.Digest
	}
	outcome := contract.Outcome{Version: first.Version, Digest: first.Digest}
	v, err := a.book.Callback(ctx, e.CallbackID)
	if err == nil && v.State.Version < first.Version {
		var news contract.News
		news, err = a.engine.News(ctx, e.CallbackID, v.State.Version)
		outcome.Events = news.Events
	}
	if err != nil {
		err = errors.Join(ErrOutcomeUnknown, err)
	}
	return outcome, err
}

// failed sorts an error of the engine: refused, not accepted, or not known.
func (a *API) failed(ctx context.Context, w *work, e *errand, err error) error {
	var f *callback.Fault
	switch {
	case errors.As(err, &f):
		return a.drop(ctx, e, err)
	case errors.Is(err, ErrEngineAway), errors.Is(err, ErrEngineBusy):
		if e.taken { // what the first try came to is still not known
			a.release(ctx, e)
			return err
		}
		return a.drop(ctx, e, err)
	case errors.Is(err, ErrNoWorkflow):
		return a.drop(ctx, e, a.gone(ctx, w, e))
	}
	a.release(ctx, e)
	if errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	return errors.Join(ErrOutcomeUnknown, err)
}

// gone is why no workflow took a command: 412 or 409 for a callback that is closed.
func (a *API) gone(ctx context.Context, w *work, e *errand) error {
	v := w.view
	if now, err := a.book.Callback(ctx, w.callbackID); err == nil {
		v = &now
	} else if away(err) && v == nil {
		return err
	}
	switch {
	case v == nil:
		return notFound()
	case e.ifVersion != 0 && e.ifVersion != v.Version():
		return stale()
	}
	state := v.State
	if !state.Status.Closed() {
		// It has ended, and what ended it is about to be written.
		return refuse(callback.CodeClosed, "R09", "this callback has just been closed: nothing can happen to it any more")
	}
	return closed(state)
}

// drop undoes an errand that came to nothing, and returns why.
func (a *API) drop(ctx context.Context, e *errand, why error) error {
	if e.LeaseUntil.IsZero() {
		return why // it was never begun
	}
	tidying, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.Settle)
	defer cancel()
	if err := a.book.Drop(tidying, e.ID); err != nil {
		a.log.WarnContext(ctx, "a refused errand could not be dropped; it will be swept", "callback_id", e.CallbackID, "error", err.Error())
	}
	return why
}

// release lets a repeat, or the sweeper, take the errand over at once.
func (a *API) release(ctx context.Context, e *errand) {
	tidying, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.Settle)
	defer cancel()
	if err := a.book.Release(tidying, e.ID); err != nil {
		a.log.WarnContext(ctx, "an errand could not be released; its lease will run out", "callback_id", e.CallbackID, "error", err.Error())
	}
}

// settle waits until lists show what was accepted; where that takes too long
// the answer is 202, and the errand stays open.
func (a *API) settle(ctx context.Context, e *errand, o contract.Outcome) (*answer, error) {
	settling, cancel := context.WithTimeout(ctx, a.limits.Settle)
	defer cancel()
	var given *answer
	render := func(v book.View) (*book.Answer, error) {
		var err error
		if given, err = e.answer(v); err != nil {
			return nil, err
		}
		return &book.Answer{Status: given.status, Location: given.location, ETag: given.etag, Body: given.body}, nil
	}
	batch := book.Batch{CallbackID: e.CallbackID, Events: o.Events}
	_, err := a.book.Settle(settling, e.ID, batch, render)
	for tries := 0; tries < 3; tries++ {
		var gap *book.GapError
		if !errors.As(err, &gap) {
			break
		}
		news, newsErr := a.engine.News(settling, e.CallbackID, gap.Have)
		if newsErr != nil {
			err = newsErr
			break
		}
		batch.Events = news.Events
		_, err = a.book.Settle(settling, e.ID, batch, render)
	}
	if err == nil {
		return given, nil
	}
	a.log.WarnContext(ctx, "accepted, but not shown yet", "callback_id", e.CallbackID, "version", o.Version, "error", err.Error())
	a.later.do(func(ctx context.Context) { a.release(ctx, e) })
	if e.unsettled != nil {
		return e.unsettled()
	}
	return accepted(e.CallbackID, o.Version)
}

// sendBlind gives a command to the engine while the database is away: the
// workflow projects it when that is back.
func (a *API) sendBlind(ctx context.Context, w *work, e *errand) (*answer, error) {
	sending, cancel := context.WithTimeout(ctx, a.limits.Engine)
	defer cancel()
	outcome, err := e.send(sending, true)
	var f *callback.Fault
	switch {
	case errors.Is(err, ErrNoWorkflow):
		return nil, w.away // closed, or not there: that cannot be told now
	case errors.As(err, &f), errors.Is(err, ErrEngineBusy), errors.Is(err, ErrEngineAway):
		return nil, err
	case err != nil:
		return nil, errors.Join(ErrOutcomeUnknown, err)
	case e.Key != "" && outcome.Digest != e.Digest:
		return nil, keyReused()
	}
	if e.accepted != nil {
		e.accepted()
	}
	return accepted(e.CallbackID, outcome.Version)
}

// Accepted says that a command is in the durable history, but not yet in what
// lists show.
type Accepted struct {
	ID       string `json:"id" format:"uuid"`
	Version  int64  `json:"version" minimum:"0" doc:"the version it reached; 0: not known"`
	Location string `json:"location"`
}

func accepted(callbackID string, version int64) (*answer, error) {
	body, err := encode(Accepted{callbackID, version, callbackPath(callbackID)})
	return &answer{status: http.StatusAccepted, location: callbackPath(callbackID), body: body}, err
}

// flights lets one request at a time use an idempotency key in this process.
type flights struct {
	mu  sync.Mutex
	out map[string][]chan struct{}
}

// board waits until nobody else is under way with this id. The error is ctx's.
func (f *flights) board(ctx context.Context, id string) (leave func(), err error) {
	f.mu.Lock()
	if f.out == nil {
		f.out = map[string][]chan struct{}{}
	}
	waiting, taken := f.out[id]
	turn := make(chan struct{})
	if taken {
		f.out[id] = append(waiting, turn)
	} else {
		f.out[id] = nil
		close(turn)
	}
	f.mu.Unlock()
	leave = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if waiting := f.out[id]; len(waiting) > 0 {
			f.out[id] = waiting[1:]
			close(waiting[0])
			return
		}
		delete(f.out, id)
	}
	select {
	case <-turn:
		return leave, nil
	case <-ctx.Done():
	}
	f.mu.Lock()
	i := slices.Index(f.out[id], turn)
	if i >= 0 {
		f.out[id] = slices.Delete(f.out[id], i, i+1)
	}
	f.mu.Unlock()
	if i < 0 {
		leave() // it was our turn just now
	}
	return nil, ctx.Err()
}

package audit

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // what a careless hash would look like
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	historypb "go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"ringback/book"
	"ringback/callback"
	"ringback/contract"
)

// personal is everything personal that the database holds, to be looked for in
// histories (R26): as it is written, or as an unkeyed hash of it.
type personal struct {
	// plain by their first four bytes, in lower case.
	plain   map[[4]byte][]secret
	starts  [1 << 16]bool // the first two of them
	digests map[string]string
	known   map[string]bool
}

// secret is one personal value, in lower case.
type secret struct{ text, what string }

func newPersonal() *personal {
	return &personal{plain: map[[4]byte][]secret{}, digests: map[string]string{}, known: map[string]bool{}}
}

// What is shorter cannot be told from the words around it; and up to exact
// bytes, a secret must stand by itself: numbers occur in ids and instants.
const (
	shortest = 4
	exact    = 8
	// excerpt of a longer text is enough to know it by.
	excerpt = 32
)

// addIntake adds what is personal about a callback.
func (p *personal) addIntake(i book.Intake) {
	c := i.Customer
	p.add("a customer's name", c.Name)
	p.add("a customer's reference", c.Ref)
	p.add("a customer's e-mail address", c.Email)
	p.add("a customer's phone number", c.Phone)
	if digits := strings.TrimLeft(c.Phone, "+"); len(digits) >= exact {
		p.add("a customer's phone number", digits)
	}
	if s := i.Source; s != nil {
		p.add("a ticket reference", s.Ref)
		p.add("a ticket's address", s.URL)
	}
	for _, value := range i.Fields {
		p.add("a custom field's value", value)
	}
	p.add("a free text", i.Reason)
}

// addTexts adds what people wrote, as far as it is shown.
func (p *personal) addTexts(entries []book.Entry, notes []book.Text) {
	for _, e := range entries {
		p.add("a free text", e.Text)
	}
	for _, n := range notes {
		p.add("a free text", n.Body)
	}
}

func (p *personal) add(what, value string) {
	value = strings.TrimSpace(value)
	if value == "" || p.known[value] {
		return
	}
	p.known[value] = true
	for _, spelling := range []string{value, strings.ToLower(value)} {
		sha2, sha1, md5 := sha256.Sum256([]byte(spelling)), sha1.Sum([]byte(spelling)), md5.Sum([]byte(spelling)) //nolint:gosec // as above
		for _, sum := range [][]byte{sha2[:], sha1[:], md5[:]} {
			p.digests[string(sum)] = what
		}
	}
	p.addPlain(what, value)
	if escaped, err := json.Marshal(value); err == nil {
		if inside := string(escaped[1 : len(escaped)-1]); inside != value {
			p.addPlain(what, inside)
		}
	}
}

func (p *personal) addPlain(what, value string) {
	text := lower(value)
	if len(text) > excerpt {
		cut := excerpt
		for !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	if len(text) < shortest {
		return
	}
	start := [4]byte([]byte(text))
	p.plain[start] = append(p.plain[start], secret{text, what})
	p.starts[uint16(start[0])<<8|uint16(start[1])] = true
}

// lower makes ASCII letters small and leaves every other byte alone.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// words that histories consist of: a secret that is one of them cannot be told
// from it.
var words = func() string {
	text := []string{
		contract.WorkflowType, contract.UpdateCreate, contract.SignalCustomerCalled, contract.SignalCandidateAvailable,
		contract.SignalOutageBegan, contract.SignalOutageEnded, contract.SignalDeliveryConfirmed, contract.SignalTagMissing,
		contract.QueryState, contract.QueryEvents, contract.DefaultTaskQueue, contract.DefaultNamespace,
		activityProject, activityDraw, activityDeliver, callback.ActorClock, "hand", "system:", "people", "open", "kept", "missed", "dropped",
		"json/plain", "binary/null", "encoding", "callback", "update", "deadline", "warning", "reminder", "release",
		"end of hold", "opening", "promised by", "at tier", "queue", "versions", "temporal", "held until", "owner", "assignee",
		"connector", "events", "owed", "delivered", "waived", "copied_by_hand", "confirmed", "outage", "unavailable", "rate_limited",
		"conflict", "unauthorized", "no_identity", "gone", "rejected",
	}
	for _, s := range callback.Statuses {
		text = append(text, string(s))
	}
	for _, n := range callback.CommandNames {
		text = append(text, string(n))
	}
	for _, d := range callback.Dispositions {
		text = append(text, string(d))
	}
	members, _ := json.Marshal([]any{
		callback.Policy{Calendar: &callback.Calendar{}, Overdue: &callback.ChaseRule{}, Ladder: []callback.Step{{}}},
		callback.Callback{Hold: &callback.Hold{}, Promises: []callback.Outcome{{}}, Owed: []callback.Debt{{}}},
		contract.Input{Destinations: []contract.Destination{{}}}, contract.Outcome{}, contract.Delivery{}, contract.Outbox{},
		callback.Held{}, callback.Resumed{}, callback.Waive{}, callback.OutageNews{},
	})
	return lower(strings.Join(text, " ") + string(members))
}()

// foundIn returns what is personal in a history, each kind once, in words.
func (p *personal) foundIn(h *History) []string {
	var found []string
	for _, run := range h.Runs {
		// The pinned policy is configuration: its words are nobody's secret.
		s := scan{personal: p, vocabulary: words + lower(policyOf(run))}
		for _, e := range run.GetEvents() {
			s.message(e.ProtoReflect())
		}
		for _, what := range s.found {
			if !slices.Contains(found, what) {
				found = append(found, what)
			}
		}
	}
	return found
}

func policyOf(run *historypb.History) string {
	var in struct {
		Policy json.RawMessage `json:"policy"`
	}
	if json.Unmarshal(raw(started(run).GetInput()), &in) != nil {
		return ""
	}
	return string(in.Policy)
}

// scan looks through one run.
type scan struct {
	*personal
	vocabulary string
	found      []string
}

// message looks at every string and every payload in a message.
func (s *scan) message(m protoreflect.Message) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				if f.MapKey().Kind() == protoreflect.StringKind {
					s.text(k.String())
				}
				s.value(f.MapValue(), v)
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				s.value(f, v.List().Get(i))
			}
		default:
			s.value(f, v)
		}
		return true
	})
}

func (s *scan) value(f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch f.Kind() { // nothing else holds text
	case protoreflect.StringKind:
		s.text(v.String())
	case protoreflect.BytesKind:
		s.text(string(v.Bytes()))
	case protoreflect.MessageKind:
		s.message(v.Message())
	}
}

func (s *scan) report(what string) {
	if !slices.Contains(s.found, what) {
		s.found = append(s.found, what)
	}
}

func (s *scan) text(text string) {
	if len(text) < shortest {
		return
	}
	s.hashes(text)
	small := lower(text)
	for i := 0; i+shortest <= len(small); i++ {
		if !s.starts[uint16(small[i])<<8|uint16(small[i+1])] {
			continue
		}
		for _, secret := range s.plain[[4]byte([]byte(small[i:i+4]))] {
			if strings.HasPrefix(small[i:], secret.text) && standsAlone(small, i, i+len(secret.text)) &&
				!strings.Contains(s.vocabulary, secret.text) {
				s.report(secret.what)
			}
		}
	}
}

// standsAlone reports whether what is found is a value, not part of another
// word, id, number or instant.
func standsAlone(text string, from, to int) bool {
	joins := func(b byte) bool {
		letter := 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b >= utf8.RuneSelf
		return letter || to-from < exact && strings.IndexByte("-_.:/+%", b) >= 0
	}
	edge := func(b byte) bool { return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }
	return (from == 0 || !edge(text[from]) || !joins(text[from-1])) &&
		(to == len(text) || to-from >= excerpt-utf8.UTFMax || !edge(text[to-1]) || !joins(text[to]))
}

// hashes looks for unkeyed hashes, in hexadecimal or base64.
func (s *scan) hashes(text string) {
	runs(text, isHex, func(run string) {
		for _, n := range []int{2 * sha256.Size, 2 * sha1.Size, 2 * md5.Size} {
			if len(run) == n {
				if sum, err := hex.DecodeString(run); err == nil {
					s.hash(sum)
				}
			}
		}
	})
	for _, alphabet := range []struct {
		is       func(byte) bool
		encoding *base64.Encoding
	}{{isBase64, base64.RawStdEncoding}, {isBase64URL, base64.RawURLEncoding}} {
		runs(text, alphabet.is, func(run string) {
			for _, n := range []int{sha256.Size, sha1.Size, md5.Size} {
				if want := alphabet.encoding.EncodedLen(n); len(run) >= want {
					// A prefix may be of the alphabet too ("sha256-…").
					if sum, err := alphabet.encoding.DecodeString(run[len(run)-want:]); err == nil {
						s.hash(sum)
					}
				}
			}
		})
	}
}

func (s *scan) hash(sum []byte) {
	if what, is := s.digests[string(sum)]; is {
		s.report("an unkeyed hash of " + what)
	}
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func isLetterOrDigit(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func isBase64(b byte) bool { return isLetterOrDigit(b) || b == '+' || b == '/' }

func isBase64URL(b byte) bool { return isLetterOrDigit(b) || b == '-' || b == '_' }

// runs calls f with every longest run of the alphabet that may be a hash.
func runs(text string, in func(byte) bool, f func(string)) {
	shortestHash := base64.RawStdEncoding.EncodedLen(md5.Size)
	for from := 0; from < len(text); {
		if !in(text[from]) {
			from++
			continue
		}
		to := from
		for to < len(text) && in(text[to]) {
			to++
		}
		if to-from >= shortestHash {
			f(text[from:to])
		}
		from = to
	}
}

// sameHistory reports whether two copies of a run say the same.
func sameHistory(a, b *historypb.History) bool {
	if len(a.GetEvents()) != len(b.GetEvents()) {
		return false
	}
	if proto.Equal(a, b) {
		return true
	}
	x, errX := proto.MarshalOptions{Deterministic: true}.Marshal(a)
	y, errY := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

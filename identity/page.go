package identity

import (
	"bytes"
	"crypto/sha256"
	"embed"
	_ "embed" // the style sheet
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"strings"

	"ringback/api"
	"ringback/book"
)

//go:embed pages/*.html
var sources embed.FS

//go:embed pages/style.css
var styleSheet []byte

var (
	templates = template.Must(template.New("").Funcs(template.FuncMap{"join": strings.Join}).ParseFS(sources, "pages/*.html"))
	// styleTag names this version of the style sheet.
	styleTag = func() string {
		sum := sha256.Sum256(styleSheet)
		return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	}()
)

// page is what a template may show.
type page struct {
	Organization string
	Theme        string // "light" or "dark", as somebody chose at the desk; empty: the system's
	Title        string
	Words        string
	Next         string
	Who          *book.Staff
	SignedOut    bool
	Provider     string // empty: there is none
	Dev          bool
	People       []tier
}

func (s *SignIn) render(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Organization, p.Theme = s.o.Organization, theme(r)
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, p); err != nil {
		s.log.ErrorContext(r.Context(), "a page cannot be shown", "page", name, "error", err.Error())
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // whoever asked has gone
}

// theme is the one that was chosen at the desk, in this browser: the desk's pages keep
// it in a cookie.
func theme(r *http.Request) string {
	if c, err := r.Cookie("ringback_theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Set("ETag", styleTag)
	if r.Header.Get("If-None-Match") == styleTag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(styleSheet) // whoever asked has gone
}

func unauthenticated(err error) bool { return errors.Is(err, api.ErrUnauthenticated) }

func notFound(err error) bool { return errors.Is(err, book.ErrNotFound) }

package desk

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// assets are what pages load. Their address holds a hash of all of them: it
// changes when one does, and may be kept for ever.
type assets struct {
	prefix string // "/assets/HASH/"
	files  map[string]*asset
}

type asset struct {
	media      string
	plain, zip []byte
}

func embeddedAssets() (*assets, error) {
	a := &assets{files: map[string]*asset{}}
	all := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		_, _ = all.Write([]byte(name + "\x00")) // never fails
		_, _ = all.Write(b)
		name = strings.TrimPrefix(name, "assets/")
		a.files[name] = &asset{mediaOf(name), b, zipped(b)}
		return nil
	})
	a.prefix = "/assets/" + hex.EncodeToString(all.Sum(nil)[:6]) + "/"
	return a, err
}

// mediaOf does not ask the machine for what every desk serves.
func mediaOf(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return mime.TypeByExtension(path.Ext(name))
}

// ServeHTTP implements http.Handler.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	name, current := strings.CutPrefix(r.URL.Path, a.prefix)
	if !current { // of a page that another release made
		_, name, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/assets/"), "/")
	}
	f := a.files[name]
	if f == nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	a.give(w, r, f, current)
}

func (a *assets) favicon(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	a.give(w, r, a.files["icon.svg"], false)
}

func (a *assets) give(w http.ResponseWriter, r *http.Request, f *asset, forever bool) {
	h := w.Header()
	h.Set("Content-Type", f.media)
	if forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	write(w, r, http.StatusOK, f.plain, f.zip)
}

// send writes a body, compressed where that is taken.
func send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	var zip []byte
	if len(body) > 1024 && takesGzip(r) {
		zip = zipped(body)
	}
	write(w, r, status, body, zip)
}

func write(w http.ResponseWriter, r *http.Request, status int, body, zip []byte) {
	h := w.Header()
	h.Add("Vary", "Accept-Encoding")
	if zip != nil && takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = zip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // whoever went away does not wait for it
	}
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if coding == "gzip" && strings.TrimSpace(quality) != "q=0" {
			return true
		}
	}
	return false
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // a buffer takes everything
	_ = z.Close()
	return out.Bytes()
}

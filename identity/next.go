package identity

import (
	"net/url"
	"strings"
)

// home is where somebody lands who came from nowhere in particular.
const home = "/"

// longestNext is how long an address to return to may be.
const longestNext = 2000

// safeNext is where to go after signing in: an address of the desk's own pages,
// as it came, or home. What a browser might read as another host is none: it
// drops tabs and line breaks, and takes \ for /.
func safeNext(next string) string {
	if next == "" || len(next) > longestNext || next[0] != '/' || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return home
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || strings.HasPrefix(u.Path, "//") {
		return home
	}
	for _, own := range []string{"/sign-in", "/sign-out", "/v1"} {
		if u.Path == own || strings.HasPrefix(u.Path, own+"/") {
			return home
		}
	}
	return next
}

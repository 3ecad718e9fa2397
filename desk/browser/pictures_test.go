package browser_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ringback/desk/browser"
)

// pictures are the main pages, as docs/desk.md shows them; opened is clicked, or
// with a # scrolled to.
var pictures = []struct{ name, as, path, opened string }{
	{"work", "sup1", "/", ""},
	{"board", "mgr1", "/board", ""},
	{"activities", "mgr1", "/activities", ""},
	{"callback", "sup1", "/callbacks/{claimed}", ""},
	{"complete", "sup1", "/callbacks/{reached}", "[data-dialog=complete]"},
	{"customer", "mgr1", "/callbacks/{queued}/customer", ""},
	{"new", "assoc1", "/new", ""},
	{"promised", "assoc1", "/callbacks/{queued}/promised", ""},
	{"tags", "mgr1", "/tags", ""},
	{"wallboard", "mgr1", "/wallboard?bare=1", ""},
	{"reports", "mgr1", "/reports?days=1", ""},
	{"policies", "mgr1", "/policies", ""},
	{"audit", "aud1", "/audit/{reached}", ""},
	{"outages", "mgr1", "/outages", ""},
	{"systems", "mgr1", "/systems", ""},
	{"people", "admin1", "/people", ""},
	{"person", "admin1", "/people/sup1", ""},
	{"keys", "admin1", "/people", "#keys-of"},
}

// troubled is the first picture of a floor on which something is wrong.
const troubled = "outages"

// TestPictures writes docs/desk/*.png where RINGBACK_PICTURES names a folder;
// without one it takes the first, to see that they can be taken.
func TestPictures(t *testing.T) {
	folder, wanted := os.Getenv("RINGBACK_PICTURES"), pictures
	if folder == "" {
		folder, wanted = t.TempDir(), pictures[:1]
	}
	require.NoError(t, os.MkdirAll(folder, 0o755))
	h := open(t)
	ids := h.busy()
	for _, p := range wanted {
		if p.name == troubled {
			h.trouble(ids)
		}
		path := p.path
		for name, id := range ids {
			path = strings.ReplaceAll(path, "{"+name+"}", id)
		}
		for _, look := range []struct {
			suffix string
			browser.Look
		}{
			{"", browser.Look{Width: 1440, Height: 900}}, {"-dark", browser.Look{Width: 1440, Height: 900, Dark: true}},
			{"-phone", browser.Look{Width: 390, Height: 780}}, {"-phone-dark", browser.Look{Width: 390, Height: 780, Dark: true}},
		} {
			if look.suffix == "-phone-dark" && !slices.Contains([]string{"work", "board", "callback", "new", "reports", "outages", "systems", "people", "person"}, p.name) {
				continue
			}
			w := h.window(p.as, path, look.Look)
			if strings.HasPrefix(p.opened, "#") {
				w.Eval("document.querySelector('"+p.opened+"').scrollIntoView()", nil)
			} else if p.opened != "" {
				w.Click(p.opened)
				w.Is("dialog[open]")
			}
			w.Still()
			require.NoError(t, os.WriteFile(filepath.Join(folder, p.name+look.suffix+".png"), small(t, w.Screenshot()), 0o600))
		}
	}
}

// small is a PNG of few colours: those that occur most, and for all others the
// nearest of these.
func small(t *testing.T, picture []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(picture))
	require.NoError(t, err)
	type rgb [3]uint8
	seen := map[rgb]int{}
	bounds := full.Bounds()
	at := func(x, y int) rgb {
		r, g, b, _ := full.At(x, y).RGBA()
		return rgb{uint8(r>>8) &^ 3, uint8(g>>8) &^ 3, uint8(b>>8) &^ 3}
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			seen[at(x, y)]++
		}
	}
	var most []rgb
	for c := range seen {
		most = append(most, c)
	}
	slices.SortFunc(most, func(a, b rgb) int {
		if seen[a] != seen[b] {
			return seen[b] - seen[a]
		}
		return slices.Compare(a[:], b[:])
	})
	// Most of the colours are those of the edges of letters: one that is like another is left out.
	const colours, alike = 64, 24 * 24
	var palette color.Palette
	for _, c := range most {
		if len(palette) < colours && !slices.ContainsFunc(palette, func(p color.Color) bool {
			q := p.(color.RGBA)
			r, g, b := int(c[0])-int(q.R), int(c[1])-int(q.G), int(c[2])-int(q.B)
			return r*r+g*g+b*b < alike && seen[c] < 2000
		}) {
			palette = append(palette, color.RGBA{c[0], c[1], c[2], 255})
		}
	}
	out := image.NewPaletted(bounds, palette)
	nearest := map[rgb]uint8{}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := at(x, y)
			i, known := nearest[c]
			if !known {
				i = uint8(palette.Index(color.RGBA{c[0], c[1], c[2], 255}))
				nearest[c] = i
			}
			out.SetColorIndex(x, y, i)
		}
	}
	var b bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out))
	return b.Bytes()
}

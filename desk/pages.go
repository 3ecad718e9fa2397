package desk

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"slices"
	"strings"
)

//go:embed templates/*.html
var templateFiles embed.FS

// page is one page: the layout with its own parts.
type page struct{ *template.Template }

// parsePages reads layout and parts, and one page of each other file.
func parsePages(a *assets) (map[string]*page, error) {
	shared, err := template.New("").Funcs(template.FuncMap{
		"asset": func(name string) (string, error) {
			if a.files[name] == nil {
				return "", fmt.Errorf("there is no asset %s", name)
			}
			return a.prefix + name, nil
		},
		"openList":     func() string { return openList },
		"modules":      func() []string { return sharedModules },
		"title":        title,
		"capital":      capital,
		"plain":        plain,
		"somebodyOf":   somebodyOf,
		"why":          func(code string, detail *string) string { return owedWhy(code, text(detail)) },
		"lasted":       lasted,
		"percent":      percent,
		"statuses":     func() []string { return append(slices.Clone(openStatuses), "completed", "cancelled") },
		"sortBy":       sortBy,
		"length":       length,
		"text":         text,
		"status":       statusWord,
		"dict":         dict,
		"initials":     initials,
		"dispositions": dispositions,
	}).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*page{}
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		t, err := shared.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, err
		}
		pages[name] = &page{t}
	}
	return pages, nil
}

// sharedModules are the scripts that every page loads, for the browser to fetch at once.
var sharedModules = []string{"app.js", "time.js", "live.js", "refresh.js", "command.js", "draft.js", "keys.js", "search.js", "transfer.js"}

// dict gives a part several values.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: expected pairs")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: expected a name")
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// sortBy is a list's address with another order.
func sortBy(here, order string) (string, error) {
	u, err := url.Parse(here)
	if err != nil {
		return "", err
	}
	u.RawQuery = with(u.Query(), "sort", order).Encode()
	return u.String(), nil
}

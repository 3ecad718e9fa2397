package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The core decides and waits; replayed years later it must decide and wait the same. So callback and workflows start no
// goroutine, use no channel, and never depend on the order in which Go happens to walk a map.
var core = []string{"./callback/...", "./workflows/..."}

// ignore is workflowcheck's own directive: on the line of a range, or on the one above it, it says that the order does
// not matter there.
const ignore = "//workflowcheck:ignore"

func TestTheCoreHasNoConcurrencyOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, p := range load(t, core...) {
		for _, complaint := range concurrency(p) {
			t.Error(complaint)
		}
	}
}

func TestTheCoreReadsMapsInOrder(t *testing.T) {
	t.Parallel()
	for _, p := range load(t, core...) {
		for _, complaint := range unordered(p) {
			t.Error(complaint)
		}
	}
}

// The two checks above find nothing in good code, so they are tried on bad code as well.
func TestTheChecksFindWhatTheyLookFor(t *testing.T) {
	t.Parallel()
	entries, err := filepath.Glob("testdata/*.go")
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, name := range entries {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			p := check(t, "ringback/lint/testdata", []string{name}, exports(t, "maps", "slices", "sort"))
			found := map[int]bool{}
			for _, complaint := range append(concurrency(p), unordered(p)...) {
				found[complaint.at.Line] = true
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			for i, line := range strings.Split(string(source), "\n") {
				require.Equal(t, strings.Contains(line, "// want"), found[i+1], "%s:%d: %s", name, i+1, strings.TrimSpace(line))
			}
		})
	}
}

// A name that says nothing gathers everything.
func TestPackagesAreNamedAfterWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	empty := map[string]bool{
		"base": true, "common": true, "helper": true, "helpers": true, "impl": true, "lib": true, "manager": true,
		"misc": true, "model": true, "models": true, "shared": true, "types": true, "util": true, "utils": true,
	}
	for _, p := range list(t, "-find", "./...") {
		for name := range strings.SplitSeq(p.ImportPath, "/") {
			require.False(t, empty[name], "%s: %q says nothing: name the package after what it is about", p.ImportPath, name)
		}
	}
}

// complaint is one place that breaks a rule.
type complaint struct {
	at   token.Position
	text string
}

func (c complaint) String() string { return fmt.Sprintf("%s: %s", c.at, c.text) }

// concurrency finds goroutines and channels.
func concurrency(p loaded) []complaint {
	var found []complaint
	p.inspect(func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, p.at(n, "no goroutine here: a workflow has workflow.Go, a rule has none"))
		case *ast.SelectStmt:
			found = append(found, p.at(n, "no select here: a workflow has workflow.Selector, a rule has none"))
			return false
		case *ast.SendStmt:
			found = append(found, p.at(n, "no channel here"))
		case *ast.ChanType:
			found = append(found, p.at(n, "no channel here: a workflow has workflow.Channel, a rule has none"))
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				found = append(found, p.at(n, "no channel here"))
			}
		}
		return true
	})
	return found
}

// unordered finds what depends on the order of a map: a range over it, and its iterators, where they do not end in a
// sort at once. A loop that only collects keys for a sort in the same function is in order.
func unordered(p loaded) []complaint {
	var found []complaint
	for _, file := range p.files {
		pardoned := pardons(p, file)
		forgiven := func(n ast.Node) bool { return pardoned[p.fset.Position(n.Pos()).Line] }
		sorted := map[ast.Node]bool{}
		for _, decl := range file.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			inOrder := sortedIn(p, function)
			ast.Inspect(function, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					name := p.callee(n)
					if strings.HasPrefix(name, "slices.Sorted") && len(n.Args) > 0 {
						sorted[ast.Unparen(n.Args[0])] = true
					}
					iterates := name == "maps.All" || name == "maps.Keys" || name == "maps.Values"
					if iterates && !sorted[n] && !forgiven(n) {
						found = append(found, p.at(n, "the order of "+name+" changes: wrap it in slices.Sorted"))
					}
				case *ast.RangeStmt:
					if _, isMap := p.typeOf(n.X).(*types.Map); isMap && !collects(p, n, inOrder) && !forgiven(n) {
						found = append(found, p.at(n, "the order of a map changes: range over slices.Sorted(maps.Keys(m)), or say with "+ignore+" why it does not matter"))
					}
				}
				return true
			})
		}
	}
	return found
}

// pardons returns the lines of a file that the directive covers.
func pardons(p loaded, file *ast.File) map[int]bool {
	lines := map[int]bool{}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if strings.HasPrefix(comment.Text, ignore) {
				line := p.fset.Position(comment.Pos()).Line
				lines[line], lines[line+1] = true, true
			}
		}
	}
	return lines
}

// sortedIn returns the variables that a function sorts.
func sortedIn(p loaded, function *ast.FuncDecl) map[types.Object]bool {
	objects := map[types.Object]bool{}
	ast.Inspect(function, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) > 0 {
			name := p.callee(call)
			if strings.HasPrefix(name, "slices.Sort") || strings.HasPrefix(name, "sort.") {
				if id, ok := call.Args[0].(*ast.Ident); ok {
					objects[p.info.ObjectOf(id)] = true
				}
			}
		}
		return true
	})
	return objects
}

// collects tells whether a loop does nothing but append to one of the variables.
func collects(p loaded, loop *ast.RangeStmt, to map[types.Object]bool) bool {
	body := loop.Body.List
	for len(body) == 1 {
		if condition, ok := body[0].(*ast.IfStmt); ok && condition.Else == nil {
			body = condition.Body.List
			continue
		}
		break
	}
	if len(body) != 1 {
		return false
	}
	assignment, ok := body[0].(*ast.AssignStmt)
	if !ok || len(assignment.Lhs) != 1 || len(assignment.Rhs) != 1 {
		return false
	}
	target, isVariable := assignment.Lhs[0].(*ast.Ident)
	call, isCall := assignment.Rhs[0].(*ast.CallExpr)
	if !isVariable || !isCall {
		return false
	}
	appends, ok := call.Fun.(*ast.Ident)
	return ok && appends.Name == "append" && to[p.info.ObjectOf(target)]
}

// loaded is one package with its types, without its tests.
type loaded struct {
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
}

func (p loaded) inspect(visit func(ast.Node) bool) {
	for _, file := range p.files {
		ast.Inspect(file, visit)
	}
}

func (p loaded) at(n ast.Node, text string) complaint {
	return complaint{p.fset.Position(n.Pos()), text}
}

func (p loaded) typeOf(e ast.Expr) types.Type {
	of := p.info.TypeOf(e)
	if parameter, ok := of.(*types.TypeParam); ok {
		return coreType(parameter)
	}
	return of.Underlying()
}

// coreType returns the underlying type that all terms of a type parameter share, or nil.
func coreType(parameter *types.TypeParam) types.Type {
	constraint, ok := parameter.Constraint().Underlying().(*types.Interface)
	if !ok || constraint.NumEmbeddeds() == 0 {
		return nil
	}
	embedded := constraint.EmbeddedType(0)
	if union, ok := embedded.(*types.Union); ok {
		embedded = union.Term(0).Type()
	}
	return embedded.Underlying()
}

// callee names the function that a call calls, as in "maps.Keys", or is empty.
func (p loaded) callee(call *ast.CallExpr) string {
	fun := ast.Unparen(call.Fun)
	if generic, ok := fun.(*ast.IndexExpr); ok {
		fun = generic.X
	}
	selector, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	function, ok := p.info.ObjectOf(selector.Sel).(*types.Func)
	if !ok || function.Pkg() == nil {
		return ""
	}
	return function.Pkg().Path() + "." + function.Name()
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	DepOnly    bool
	Error      *struct{ Err string }
}

// list runs go list in the module's root.
func list(t *testing.T, arguments ...string) []listed {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Dir,Export,GoFiles,DepOnly,Error"}, arguments...)...)
	command.Dir = ".."
	command.Stdout, command.Stderr = &stdout, &stderr
	require.NoError(t, command.Run(), stderr.String())

	var packages []listed
	decoder := json.NewDecoder(&stdout)
	for {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, packages, "go list %v found nothing: %s", arguments, stderr.String())
			return packages
		}
		require.NoError(t, err)
		require.Nil(t, p.Error, p.ImportPath)
		packages = append(packages, p)
	}
}

// exports maps the import paths of packages and of all that they import to compiled export data.
func exports(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, p := range list(t, append([]string{"-export", "-deps"}, patterns...)...) {
		files[p.ImportPath] = p.Export
	}
	return files
}

// load parses and type-checks packages.
func load(t *testing.T, patterns ...string) []loaded {
	t.Helper()
	compiled := exports(t, patterns...)
	var packages []loaded
	for _, p := range list(t, patterns...) {
		if len(p.GoFiles) == 0 {
			continue
		}
		names := make([]string, len(p.GoFiles))
		for i, name := range p.GoFiles {
			names[i] = filepath.Join(p.Dir, name)
		}
		packages = append(packages, check(t, p.ImportPath, names, compiled))
	}
	require.GreaterOrEqual(t, len(packages), len(patterns), "a pattern of %v matched nothing", patterns)
	return packages
}

// check parses and type-checks one package against the export data of what it imports.
func check(t *testing.T, path string, names []string, compiled map[string]string) loaded {
	t.Helper()
	p := loaded{
		fset: token.NewFileSet(),
		info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}},
	}
	for _, name := range names {
		file, err := parser.ParseFile(p.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		p.files = append(p.files, file)
	}
	config := types.Config{Importer: importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		export, ok := compiled[path]
		if !ok {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(export)
	})}
	_, err := config.Check(path, p.fset, p.files, p.info)
	require.NoError(t, err)
	return p
}

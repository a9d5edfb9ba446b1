package deps

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const rootModule = "github.com/liveim/im"

// repo is the repository, seen from this package's directory, where its tests run.
const repo = "../.."

// source is one Go file of the repository. Paths are relative to the repository and use slashes.
type source struct {
	path   string
	dir    string
	module string // directory of the module that it belongs to, "." for the root module
	lines  int
	fset   *token.FileSet
	file   *ast.File
}

func (s *source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s *source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// imports lists the import paths of the file.
func (s *source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic(err) // the parser has accepted it
		}
		paths = append(paths, p)
	}
	return paths
}

// readSources parses all Go files of the repository, whatever platform they are for. It walks the tree rather
// than ask git for its files, because the test cache notices a new file only in a directory that the test has read.
func readSources(t *testing.T) []*source {
	t.Helper()
	var sources []*source
	walk(t, func(file string) {
		if path.Ext(file) != ".go" {
			return
		}
		text, err := os.ReadFile(filepath.Join(repo, file))
		if err != nil {
			t.Fatal(err)
		}
		s := &source{path: file, dir: path.Dir(file), lines: bytes.Count(text, []byte("\n")), fset: token.NewFileSet()}
		if s.file, err = parser.ParseFile(s.fset, file, text, parser.ParseComments); err != nil {
			t.Fatalf("parsing the repository: %v", err)
		}
		sources = append(sources, s)
	})
	modules := moduleDirs(t)
	for _, s := range sources {
		s.module = moduleOf(s.dir, modules)
	}
	return sources
}

// moduleDirs lists the directories that have a go.mod, "." among them.
func moduleDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	walk(t, func(file string) {
		if path.Base(file) == "go.mod" {
			dirs = append(dirs, path.Dir(file))
		}
	})
	return dirs
}

// moduleOf climbs from dir to the nearest module.
func moduleOf(dir string, modules []string) string {
	for dir != "." && !slices.Contains(modules, dir) {
		dir = path.Dir(dir)
	}
	return dir
}

// walk visits the files of the repository that the go command would look at.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	ignored := []string{"testdata", "node_modules", "vendor", "bin"}
	err := fs.WalkDir(os.DirFS(repo), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			visit(name)
		case name != "." && (strings.ContainsAny(entry.Name()[:1], "._") || slices.Contains(ignored, entry.Name())):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walking the repository: %v", err)
	}
}

// goCommand runs the go command in the repository, without the workspace: what a module is by itself counts.
func goCommand(t *testing.T, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = repo
	cmd.Env = append(append(os.Environ(), "GOWORK=off"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// goJSON decodes what the go command prints.
func goJSON[T any](t *testing.T, args ...string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(goCommand(t, nil, args...), &v); err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return v
}

// exceptions maps what a rule excuses, a path of the repository, to the reason.
type exceptions map[string]string

// check reports each offender that is not excused, and each excuse that has no offender.
func (allowed exceptions) check(t *testing.T, offenders map[string]string) {
	t.Helper()
	for where, what := range offenders {
		if _, ok := allowed[where]; !ok {
			t.Errorf("%s: %s", where, what)
		}
	}
	for where, reason := range allowed {
		if _, ok := offenders[where]; !ok {
			t.Errorf("%s is excused (%q) but does nothing that needs it; take it off the list of exceptions", where, reason)
		}
	}
}

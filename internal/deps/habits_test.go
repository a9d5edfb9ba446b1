package deps

import (
	"fmt"
	"go/ast"
	"path"
	"strconv"
	"testing"
)

// maxLines is where a file surely has more than one concern; most should have under 200 lines.
const maxLines = 500

func TestNoSleepInTests(t *testing.T) {
	offenders := map[string]string{}
	for _, s := range readSources(t) {
		if !s.test() {
			continue
		}
		name := importName(s.file, "time")
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && name != "" && x.Name == name {
				offenders[s.path] = fmt.Sprintf("line %d sleeps: wait on a channel or a condition, or let the clock of a synctest bubble move with <-time.After(d)", s.line(n.Pos()))
			}
			return true
		})
	}
	exceptions{}.check(t, offenders)
}

func TestNoInit(t *testing.T) {
	offenders := map[string]string{}
	for _, s := range readSources(t) {
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				offenders[s.path] = fmt.Sprintf("line %d declares init: a host that imports the package did not ask for work or for globals; do it in a constructor", s.line(fn.Pos()))
			}
		}
	}
	exceptions{}.check(t, offenders)
}

func TestFilesAreShort(t *testing.T) {
	offenders := map[string]string{}
	for _, s := range readSources(t) {
		if !s.test() && s.lines > maxLines {
			offenders[s.path] = fmt.Sprintf("has %d lines, more than %d: one concern a file, named by what it does", s.lines, maxLines)
		}
	}
	exceptions{}.check(t, offenders)
}

func TestTestBinariesFailOnALeak(t *testing.T) {
	guarded := map[string]bool{} // directory with tests, has a TestMain beside an import of goleak?
	for _, s := range readSources(t) {
		if !s.test() {
			continue
		}
		guarded[s.dir] = guarded[s.dir] || importName(s.file, "go.uber.org/goleak") != "" && declares(s.file, "TestMain")
	}
	offenders := map[string]string{}
	for dir, ok := range guarded {
		if !ok {
			offenders[dir] = "has tests but no TestMain with goleak.VerifyTestMain; a package that starts no goroutine may go on the list of exceptions"
		}
	}
	exceptions{
		"internal/wire": "encodes and decodes, starts no goroutine",
	}.check(t, offenders)
}

// importName is the name under which the file knows the package, or "" if it does not import it.
func importName(file *ast.File, importPath string) string {
	for _, spec := range file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

func declares(file *ast.File, function string) bool {
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == function {
			return true
		}
	}
	return false
}

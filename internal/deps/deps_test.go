package deps

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// A host that embeds the library takes its dependencies too, with their bugs and their release dates. A new one needs a
// record in docs/decisions and a line here; an adapter that needs more is a nested module.
var (
	coreModules = []string{
		"github.com/google/uuid",
		"github.com/klauspost/compress",
		"github.com/puzpuzpuz/xsync/v3",
		"golang.org/x/time",
	}
	testModules = []string{
		"go.uber.org/goleak",
		"pgregory.net/rapid",
	}
)

func TestGoModRequiresTheGoldenList(t *testing.T) {
	mod := goJSON[struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []struct{ Old struct{ Path string } }
	}](t, "mod", "edit", "-json")

	golden := slices.Concat(coreModules, testModules)
	var required []string
	for _, r := range mod.Require {
		required = append(required, r.Path)
		switch {
		case r.Indirect:
			t.Errorf("go.mod requires %s indirectly: a dependency has brought a dependency; the list in internal/deps is all that a host should get", r.Path)
		case !slices.Contains(golden, r.Path):
			t.Errorf("go.mod requires %s, which is not on the golden list in internal/deps: do without it, move its user into a nested module, or add it with a record in docs/decisions", r.Path)
		}
	}
	for _, want := range golden {
		if !slices.Contains(required, want) {
			t.Errorf("go.mod does not require %s: take it off the golden list in internal/deps", want)
		}
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: hosts do not see a replacement, so the library is tested with something else than they run", r.Old.Path)
	}
}

func TestRootModuleImportsTheGoldenList(t *testing.T) {
	golden := slices.Concat(coreModules, testModules)
	users := map[string]map[bool]string{} // module, in a test?, one file that imports it
	for _, s := range readSources(t) {
		if s.module != "." {
			continue
		}
		for _, imported := range s.imports() {
			if standard(imported) || within(imported, rootModule) {
				continue
			}
			module := owner(imported, golden)
			if module == "" {
				t.Errorf("%s imports %s, which no module on the golden list in internal/deps has: do without it, or move this file into a nested module", s.path, imported)
				continue
			}
			if users[module] == nil {
				users[module] = map[bool]string{}
			}
			users[module][s.test() || testKit(s.dir)] = s.path
		}
	}
	for _, module := range coreModules {
		if users[module][false] == "" {
			t.Errorf("no code but tests (%q) imports %s: it is no dependency of the core, take it off coreModules", users[module][true], module)
		}
	}
	for _, module := range testModules {
		if file := users[module][false]; file != "" {
			t.Errorf("%s imports %s, which is for tests only", file, module)
		}
		if users[module][true] == "" {
			t.Errorf("no test imports %s: take it off testModules", module)
		}
	}
}

// What the dependencies import counts as well, and differs between platforms.
func TestRootModuleLinksTheGoldenList(t *testing.T) {
	for _, goos := range []string{"linux", "windows", "darwin"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			env := []string{"GOOS=" + goos}
			packages := strings.Fields(string(goCommand(t, env, "list", "./...")))
			packages = slices.DeleteFunc(packages, func(p string) bool { return testKit(strings.TrimPrefix(p, rootModule+"/")) })
			out := goCommand(t, env, slices.Concat([]string{
				"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}{{end}}",
			}, packages)...)
			foreign := map[string]string{} // module to one package of it
			for line := range strings.Lines(string(out)) {
				pkg, module, _ := strings.Cut(strings.TrimSpace(line), " ")
				if module != rootModule && !slices.Contains(coreModules, module) {
					foreign[module] = pkg
				}
			}
			for _, module := range slices.Sorted(maps.Keys(foreign)) {
				t.Errorf("the library links %s of module %q, which is not among coreModules in internal/deps; `go mod why -m` and `go list -deps` tell who brought it", foreign[module], module)
			}
		})
	}
}

// One go.work lets a change to the root and to its adapters be tested together.
func TestWorkspaceHasEveryModule(t *testing.T) {
	work := goJSON[struct{ Use []struct{ DiskPath string } }](t, "work", "edit", "-json", "go.work")
	var used []string
	for _, use := range work.Use {
		used = append(used, path.Clean(use.DiskPath))
	}
	missing := map[string]string{}
	for _, dir := range moduleDirs(t) {
		if !slices.Contains(used, dir) {
			missing[dir] = "has a go.mod but no line in go.work, so that make test passes it by"
		}
	}
	exceptions{
		"tools/golangci": "its hundreds of requirements would raise the versions that the whole workspace is built with",
	}.check(t, missing)
}

// standard tells the standard library by the lack of a dot in the first element, as the go command does.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// within tells whether the path p is root or below it.
func within(p, root string) bool {
	return p == root || strings.HasPrefix(p, root+"/")
}

// owner finds the module that has the package, or "".
func owner(importPath string, modules []string) string {
	i := slices.IndexFunc(modules, func(module string) bool { return within(importPath, module) })
	if i < 0 {
		return ""
	}
	return modules[i]
}

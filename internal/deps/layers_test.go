package deps

import (
	"cmp"
	"path"
	"strings"
	"testing"
)

// layer is how high a package stands; imports only go down.
type layer int

const (
	unknown   layer = iota
	internals       // L1: internal/..., and web/, which holds files only
	transport       // L2: the seam and its three implementations
	core            // L3: package im
	contract        // L4: what features use and adapters implement; imports nothing of the library
	feature         // L4: packages on the public API of im
	kit             // L4 too, but built from the same parts as the core: a client and a test kit speak its wire format
	nested          // L5: adapters, which are modules of their own
	show            // L5 too: examples, benchmarks and tools, which nobody imports
)

// layers places each directory of the repository with the line of itself, or of the nearest one above it.
var layers = map[string]layer{
	".":         core,
	"internal":  internals,
	"web":       internals,
	"web/test":  show, // servers for the browser tests
	"transport": transport,

	"gift":      feature,
	"classroom": feature,
	"assistant": feature,
	"ledger":    contract,
	"recording": feature,
	"presence":  feature,
	"reaction":  feature,
	"storage":   feature, // storage/filelog; the other adapters are nested modules
	"client":    kit,
	"imtest":    kit,

	"audit":    nested,
	"auth":     nested,
	"metrics":  nested,
	"moderate": nested,
	"bench":    show,
	"examples": show,
	"tools":    show,
}

// testKits are linked by tests only, those of a host or an adapter, so that they may import testModules.
var testKits = []string{"imtest", "transport/transporttest"}

func testKit(dir string) bool { return owner(dir, testKits) != "" }

// place is where a package stands.
type place struct {
	dir   string // relative to the repository, "." for package im
	layer layer
}

// placeOf puts a directory into its layer. module is the directory of its module.
func placeOf(dir, module string) place {
	if l := layerOf(dir); module == "." || l == show {
		return place{dir, l}
	}
	return place{dir, nested}
}

func layerOf(dir string) layer {
	if dir == "." {
		return layers[dir]
	}
	for ; dir != "."; dir = path.Dir(dir) {
		if l, ok := layers[dir]; ok {
			return l
		}
	}
	return unknown
}

// objection says why from must not import to, or "".
func objection(from, to place) string {
	switch {
	case from.layer == unknown || to.layer == unknown:
		return "one of them is in no layer: give its first directory a line in layers, internal/deps/layers_test.go"
	case private(to.dir) && !within(from.dir, ownerOf(to.dir)):
		return "that is the inside of " + ownerOf(to.dir) + ": use its public API, and mend that where it falls short"
	case testKit(to.dir) && !testKit(from.dir) && from.layer != show:
		return "a test kit is for tests: a program that links it links package testing and the modules for tests"
	case within(to.dir, from.dir) && from.layer != core:
		return "" // one's own parts
	}
	switch from.layer {
	case internals:
		if to.layer != internals && to.dir != "transport" { // the seam is interfaces alone, and imports nothing
			return "internal packages know nothing of what is built on them: pass it in as a parameter or a small interface"
		}
	case transport:
		if to.layer > transport {
			return "a transport knows sessions by the seam, package transport, and never by what is above it"
		}
		if to.layer == transport && to.dir != "transport" {
			return "transports do not know each other: what they share belongs in package transport or in internal"
		}
	case core:
		if to.layer > core {
			return "package im works without its feature packages: they use its API, it never uses theirs"
		}
	case contract:
		return "a contract is for adapters that know nothing else of the library: pass it in, or let the feature do it that uses the contract"
	case feature, kit:
		if to.layer > kit {
			return "the root module cannot depend on a nested one"
		}
		if to.layer < core && from.layer == feature {
			return "a feature package proves the public API: where that lacks something, add it to package im"
		}
	case nested:
		if within(to.dir, "internal") {
			return "a nested module has its own version: it breaks when the inside of another version changes, so it uses the public API"
		}
	}
	return ""
}

// private tells whether the directory belongs to one package's own internal directory.
func private(dir string) bool {
	return strings.Contains(dir+"/", "/internal/")
}

// ownerOf is the directory that the internal directory belongs to.
func ownerOf(dir string) string {
	before, _, _ := strings.Cut(dir+"/", "/internal/")
	return before
}

func TestImportsGoDown(t *testing.T) {
	sources := readSources(t)
	modules := moduleDirs(t)
	offenders := map[string]string{}
	for _, s := range sources {
		if s.test() {
			continue // a test may drive the whole from a part: cycles are not possible, and nobody links it
		}
		from := placeOf(s.dir, s.module)
		if from.layer == unknown {
			offenders[s.path] = "is in no layer: give its first directory a line in layers, internal/deps/layers_test.go"
		}
		for _, imported := range s.imports() {
			if !within(imported, rootModule) {
				continue
			}
			dir := path.Clean(strings.TrimPrefix(strings.TrimPrefix(imported, rootModule), "/"))
			if why := objection(from, placeOf(dir, moduleOf(dir, modules))); why != "" {
				offenders[s.path+" imports "+imported] = why
			}
		}
	}
	exceptions{}.check(t, offenders)
}

func TestObjection(t *testing.T) {
	tests := []struct {
		from, fromModule string
		to, toModule     string
		want             string // part of the objection
	}{
		{from: "internal/wire", to: "internal/ws"},
		{from: "internal/wire", to: ".", want: "pass it in"},
		{from: "internal/wire", to: "transport"},
		{from: "internal/wire", to: "gift", want: "pass it in"},
		{from: "web", to: ".", want: "pass it in"},

		{from: "transport", to: "internal/ws"},
		{from: "transport", to: "transport/sse"},
		{from: "transport/pipe", to: "transport/transporttest", want: "a test kit"},
		{from: "transport/sse", to: "transport"},
		{from: "transport/sse", to: "transport/sse/frame"},
		{from: "transport/sse", to: "transport/websocket", want: "do not know each other"},
		{from: "transport/sse", to: ".", want: "by the seam"},
		{from: "transport/sse", to: "gift", want: "by the seam"},

		{from: ".", to: "internal/fanout"},
		{from: ".", to: "transport/websocket"},
		{from: ".", to: "web"},
		{from: ".", to: "gift", want: "it never uses theirs"},
		{from: ".", to: "client", want: "it never uses theirs"},
		{from: ".", to: "imtest/logtest", want: "a test kit"},
		{from: ".", to: "examples/liveroom", want: "it never uses theirs"},

		{from: ".", to: "ledger", want: "it never uses theirs"},
		{from: "ledger", to: ".", want: "a contract"},
		{from: "ledger", to: "gift", want: "a contract"},
		{from: "ledger", to: "internal/wire", want: "a contract"},
		{from: "ledger", to: "ledger/internal/book"},

		{from: "gift", to: "."},
		{from: "gift", to: "ledger"},
		{from: "gift", to: "gift/internal/price"},
		{from: "gift", to: "ledger/internal/book", want: "inside of ledger"},
		{from: "gift", to: "internal/wire", want: "add it to package im"},
		{from: "gift", to: "metrics/prom", toModule: "metrics/prom", want: "cannot depend on a nested one"},
		{from: "storage/filelog", to: "."},
		{from: "storage/filelog", to: "storage/filelog/internal/segment"},
		{from: "storage/filelog/internal/segment", to: "."},
		{from: "storage/filelog", to: "internal/wire", want: "add it to package im"},
		{from: "gift", to: "storage/filelog/internal/disk", want: "inside of storage/filelog"},
		{from: "client", to: "internal/wire"},
		{from: "imtest", to: "transport"},
		{from: "imtest/ledgertest", to: "ledger"},
		{from: "imtest", to: "examples/liveroom", want: "cannot depend on a nested one"},

		{from: "storage/natslog", fromModule: "storage/natslog", to: "."},
		{from: "storage/bolt", fromModule: "storage/bolt", to: "ledger"},
		{from: "storage/bolt", fromModule: "storage/bolt", to: "imtest/ledgertest", want: "a test kit"},
		{from: "gift", to: "storage/bolt", toModule: "storage/bolt", want: "cannot depend on a nested one"},
		{from: "storage/natslog", fromModule: "storage/natslog", to: "imtest/logtest", want: "a test kit"},
		{from: "storage/natslog", fromModule: "storage/natslog", to: "internal/wire", want: "its own version"},
		{from: "storage/postgres", fromModule: "storage/postgres", to: "ledger"},
		{from: "storage/postgres", fromModule: "storage/postgres", to: "imtest/ledgertest", want: "a test kit"},
		{from: "bench", fromModule: "bench", to: "internal/ws"},
		{from: "examples/liveroom", to: "internal/replay"},
		{from: "web/test/browser/hub", to: "."},
		{from: ".", to: "web/test/browser/hub", want: "it never uses theirs"},

		{from: "newthing", to: ".", want: "no layer"},
		{from: ".", to: "newthing", want: "no layer"},
	}
	for _, test := range tests {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			from := placeOf(test.from, cmp.Or(test.fromModule, "."))
			to := placeOf(test.to, cmp.Or(test.toModule, "."))
			got := objection(from, to)
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("objection = %q, want %q", got, test.want)
			}
		})
	}
}

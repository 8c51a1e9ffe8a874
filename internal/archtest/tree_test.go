package archtest

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// importing is a Go file with the given import clauses.
func importing(paths ...string) *fstest.MapFile {
	var b strings.Builder
	b.WriteString("package a\n\nimport (\n")
	for _, p := range paths {
		b.WriteString("\t\"" + p + "\"\n")
	}
	return &fstest.MapFile{Data: []byte(b.String() + ")\n")}
}

// TestMadeUpTree puts one forbidden import of each kind into a tree that is otherwise as it should be, and expects
// exactly these to be found, each with its file.
func TestMadeUpTree(t *testing.T) {
	got, err := house().check(fstest.MapFS{
		// As it should be.
		"dots/target.go":             importing("net/netip", "slices"),
		"policy/admit.go":            importing(ours+"/dots", "github.com/gaissmai/bart"),
		"wire/wire.go":               importing(ours + "/dots"),
		"wire/rfc9132/encode.go":     importing(ours+"/dots", ours+"/wire", "github.com/fxamacker/cbor/v2"),
		"gateway/core.go":            importing(ours+"/dots", ours+"/policy", ours+"/store", "context"),
		"gateway/core_test.go":       importing(ours+"/internal/testpki", ours+"/store/storetest", "github.com/google/go-cmp/cmp"),
		"downstream/server.go":       importing(ours+"/dots", ours+"/wire/draft04", ours+"/internal/coap", ours+"/internal/liveness"),
		"internal/app/app.go":        importing(ours+"/gateway", ours+"/upstream", ours+"/downstream", ours+"/store/sqlite"),
		"internal/coap/dtls.go":      importing("github.com/pion/dtls/v3", ours+"/internal/front"),
		"internal/metrics/a.go":      importing("github.com/prometheus/client_golang/prometheus"),
		"cmd/dotsgate/main.go":       importing(ours + "/internal/app"),
		"store/sqlite/sqlite.go":     importing(ours+"/store", "modernc.org/sqlite"),
		"internal/interop/a_test.go": importing(ours+"/gateway", ours+"/internal/lab"),
		// As it should not be.
		"dots/clock.go":              importing("context"),
		"downstream/shortcut.go":     importing(ours + "/gateway"),
		"gateway/dial.go":            importing(ours+"/dots", ours+"/internal/coap"),
		"gateway/helper.go":          importing(ours + "/internal/testpki"),
		"internal/app/count.go":      importing("github.com/prometheus/client_golang/prometheus"),
		"internal/interop/helper.go": importing(ours + "/gateway"),
		"magic/new.go":               importing(ours + "/dots"),
		"policy/log_test.go":         importing("log/slog", ours+"/gateway"),
		"policy/wait.go":             importing("log/slog"),
		"root.go":                    importing(ours + "/gateway"),
		"store/store.go":             importing("github.com/new/thing"),
		"upstream/cmp.go":            importing("github.com/google/go-cmp/cmp"),
		"wire/draft04/copy.go":       importing(ours + "/wire/rfc9132"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"dots/clock.go: imports context",
		"downstream/shortcut.go: imports " + ours + "/gateway",
		"gateway/dial.go: imports " + ours + "/internal/coap",
		"gateway/helper.go: imports " + ours + "/internal/testpki",
		"internal/app/count.go: imports github.com/prometheus/client_golang/prometheus",
		"internal/interop/helper.go: imports " + ours + "/gateway",
		"magic/new.go: imports " + ours + "/dots",
		"policy/log_test.go: imports " + ours + "/gateway",
		"policy/wait.go: imports log/slog",
		"root.go: imports " + ours + "/gateway",
		"store/store.go: imports github.com/new/thing",
		"upstream/cmp.go: imports github.com/google/go-cmp/cmp",
		"wire/draft04/copy.go: imports " + ours + "/wire/rfc9132",
	}
	var heads []string
	for _, line := range got {
		head, why, ok := strings.Cut(line, ": imports ")
		imp, why, more := strings.Cut(why, ": ")
		if !ok || !more || len(strings.Fields(why)) < 3 {
			t.Errorf("%q gives no reason", line)
		}
		heads = append(heads, head+": imports "+imp)
	}
	if diff := cmp.Diff(want, heads); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// arrows are the house's arrows, written out a second time and without patterns: a package and all of ours that its
// production code may import. What is absent imports nothing.
func arrows() map[string][]string {
	profiles := []string{"wire/draft04", "wire/restconf", "wire/rfc9132"}
	peer := append([]string{"dots", "internal/coap", "wire"}, profiles...)
	return map[string][]string{
		"policy":           {"dots"},
		"wire":             {"dots"},
		"wire/rfc9132":     {"dots", "wire"},
		"wire/draft04":     {"dots", "wire"},
		"wire/restconf":    {"dots", "wire"},
		"store/sqlite":     {"store"},
		"store/storetest":  {"store"},
		"gateway":          {"dots", "policy", "store"},
		"downstream":       append([]string{"internal/liveness"}, peer...),
		"upstream":         append([]string{"internal/liveness"}, peer...),
		"internal/coap":    {"internal/front"},
		"internal/config":  {"dots", "policy"},
		"internal/admin":   {"dots"},
		"internal/metrics": {"dots"},
		"internal/lab":     append([]string{"internal/ctl"}, peer...),
		"internal/ctl":     peer,
		"internal/testpki": append([]string{"store"}, peer...),
		"cmd/dotsgate":     {"internal/admin", "internal/app", "internal/config", "internal/logging"},
		"cmd/dotsctl":      {"internal/ctl"},
		"cmd/dotslab":      {"internal/lab"},
	}
}

// packages are the places between which every arrow is judged.
func packages() []string {
	return []string{
		"dots", "policy", "wire", "wire/rfc9132", "wire/draft04", "wire/restconf", "store", "store/sqlite", "store/storetest",
		"gateway", "downstream", "upstream", "internal/coap", "internal/front", "internal/liveness", "internal/resolve",
		"internal/aaa", "internal/config", "internal/app", "internal/admin", "internal/metrics", "internal/logging",
		"internal/lab", "internal/ctl", "internal/interop", "internal/bench", "internal/testpki", "internal/tools/budgets",
		"internal/archtest", "cmd/dotsgate", "cmd/dotsctl", "cmd/dotslab",
	}
}

// TestEveryPair judges an import of each package by each other one, in code and in tests.
func TestEveryPair(t *testing.T) {
	rules, allowed := house(), arrows()
	anything := []string{"internal/app", "internal/interop", "internal/bench"} // what they may import, or their tests may
	inTests := map[string][]string{
		"wire/rfc9132": {"wire/draft04", "wire/restconf"}, "wire/draft04": {"wire/rfc9132", "wire/restconf"},
		"wire/restconf": {"wire/rfc9132", "wire/draft04"}, "internal/ctl": {"internal/lab"}, "cmd/dotsgate": {"internal/lab"},
	}
	for _, from := range packages() {
		for _, to := range packages() {
			if from == to {
				continue
			}
			im := importer{pkg: from, file: from + "/a.go", imp: ours + "/" + to}
			code := slices.Contains(allowed[from], to) || from == "internal/app"
			if got := rules.judge(im) == ""; got != code {
				t.Errorf("%s imports %s: allowed %v, want %v", from, to, got, code)
			}
			im.test, im.file = true, from+"/a_test.go"
			test := code || to == "internal/testpki" || to == "store/storetest" ||
				slices.Contains(inTests[from], to) || slices.Contains(anything, from)
			if got := rules.judge(im) == ""; got != test {
				t.Errorf("a test of %s imports %s: allowed %v, want %v", from, to, got, test)
			}
		}
	}
}

// TestSidesNeverMeet walks the arrows as the linker does: whatever is in between, these do not reach each other.
func TestSidesNeverMeet(t *testing.T) {
	imports, err := scan(realTree())
	if err != nil {
		t.Fatal(err)
	}
	next := map[string][]string{}
	for _, im := range imports {
		if to, ok := strings.CutPrefix(im.imp, ours+"/"); ok && !im.test {
			next[im.pkg] = append(next[im.pkg], to)
		}
	}
	reach := func(from string) map[string]bool {
		seen, todo := map[string]bool{}, []string{from}
		for len(todo) > 0 {
			at := todo[0]
			todo = todo[1:]
			for _, to := range next[at] {
				if !seen[to] {
					seen[to] = true
					todo = append(todo, to)
				}
			}
		}
		return seen
	}
	for from, apart := range map[string][]string{
		"downstream":   {"upstream", "gateway", "policy", "store", "internal/app"},
		"upstream":     {"downstream", "gateway", "policy", "store", "internal/app"},
		"gateway":      {"downstream", "upstream", "wire", "internal/coap", "internal/app"},
		"cmd/dotsgate": {"internal/lab", "internal/ctl", "internal/testpki", "store/storetest"},
		"cmd/dotsctl":  {"gateway", "policy", "store", "downstream", "upstream", "internal/lab"},
		"cmd/dotslab":  {"gateway", "policy", "store", "downstream", "upstream"},
	} {
		seen := reach(from)
		if len(seen) == 0 {
			t.Errorf("%s imports nothing: the tree was not read", from)
		}
		for _, to := range apart {
			if seen[to] {
				t.Errorf("%s reaches %s", from, to)
			}
		}
	}
}

// TestFormsOfImports: however an import is written, it is seen.
func TestFormsOfImports(t *testing.T) {
	for name, src := range map[string]string{
		"alone":           "package dots\n\nimport \"net\"\n",
		"in a group":      "package dots\n\nimport (\n\t\"fmt\"\n\t\"net\"\n)\n",
		"renamed":         "package dots\n\nimport n \"net\"\n",
		"for its effect":  "package dots\n\nimport _ \"net\"\n",
		"with a dot":      "package dots\n\nimport . \"net\"\n",
		"in raw quotes":   "package dots\n\nimport `net`\n",
		"on other tags":   "//go:build windows\n\npackage dots\n\nimport \"net\"\n",
		"never built":     "//go:build ignore\n\npackage main\n\nimport \"net\"\n",
		"second clause":   "package dots\n\nimport \"fmt\"\nimport \"net\"\n",
		"broken code":     "package dots\n\nimport \"net\"\n\nfunc {\n",
		"generated":       "// Code generated by x. DO NOT EDIT.\n\npackage dots\n\nimport \"net\"\n",
		"one line of all": "package dots; import \"net\"; import \"fmt\"\n",
	} {
		bad, err := house().check(fstest.MapFS{"dots/a.go": {Data: []byte(src)}})
		if err != nil || len(bad) != 1 || !strings.HasPrefix(bad[0], "dots/a.go: imports net: ") {
			t.Errorf("%s: got %q, %v", name, bad, err)
		}
	}
}

// TestUnreadableFile: a file that cannot be read is no file without imports.
func TestUnreadableFile(t *testing.T) {
	fsys := unreadable{fstest.MapFS{"dots/a.go": importing("fmt")}}
	if bad, err := house().check(fsys); !errors.Is(err, fs.ErrPermission) || bad != nil {
		t.Errorf("got %q, %v", bad, err)
	}
}

// unreadable is a tree whose Go files may not be opened.
type unreadable struct{ fs.FS }

func (u unreadable) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".go") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return u.FS.Open(name)
}

// TestUsersInWords: who may import a module is told in the refusal.
func TestUsersInWords(t *testing.T) {
	for _, tt := range []struct {
		module module
		want   string
	}{
		{module{}, "nobody"},
		{module{tests: true}, "test files"},
		{module{rooms: []string{"wire", "wire/*"}}, "wire, wire/*"},
		{module{rooms: []string{"wire"}, tests: true}, "wire and test files"},
	} {
		if got := users(tt.module); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := list(nil); got != "nothing of ours" {
		t.Errorf("an empty list is %q", got)
	}
}

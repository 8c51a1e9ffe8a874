package archtest

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const ours = "github.com/dotsgate/dotsgate"

func house() rules {
	return rules{module: ours, rooms: rooms(), modules: modules(), standard: standard()}
}

// realTree is the module.
func realTree() fs.FS { return os.DirFS("../..") }

// TestArrows judges the real tree.
func TestArrows(t *testing.T) {
	root := realTree()
	imports, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(imports) < 20 {
		t.Fatalf("only %d imports found: the tree was not read", len(imports))
	}
	bad, err := house().check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bad {
		t.Error(line)
	}
}

// TestEveryRuleHasAReason keeps the data honest: a ban nobody can explain is not a rule.
func TestEveryRuleHasAReason(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rooms() {
		if len(strings.Fields(r.why)) < 4 {
			t.Errorf("room %s: no reason", r.path)
		}
		if seen[r.path] {
			t.Errorf("room %s stands twice: only the first one counts", r.path)
		}
		seen[r.path] = true
	}
	for _, m := range modules() {
		if len(strings.Fields(m.why)) < 3 {
			t.Errorf("module %s: no reason", m.path)
		}
	}
	for _, b := range standard() {
		if len(strings.Fields(b.why)) < 4 {
			t.Errorf("ban on %s: no reason", b.path)
		}
	}
}

func TestCheckFailsOnANewArrow(t *testing.T) {
	tests := []struct {
		name, file, imp string
		want            string // a part of the message; "" is allowed
	}{
		{"vocabulary imports ours", "dots/a.go", ours + "/wire", "the vocabulary is at the bottom"},
		{"vocabulary imports a module", "dots/a.go", "golang.org/x/time/rate", "the vocabulary and policy"},
		{"vocabulary imports I/O", "dots/a.go", "net", "the vocabulary is values"},
		{"vocabulary imports addresses", "dots/a.go", "net/netip", ""},
		{"vocabulary's test may read files", "dots/a_test.go", "os", ""},
		{"sides do not know each other", "downstream/a.go", ours + "/upstream", "knows neither the core"},
		{"server side does not know the core", "downstream/a.go", ours + "/gateway", "knows neither the core"},
		{"core does not know the client side", "gateway/a.go", ours + "/upstream", "the core is a function"},
		{"core uses policy", "gateway/a.go", ours + "/policy", ""},
		{"server side uses a profile", "downstream/a.go", ours + "/wire/rfc9132", ""},
		{"profiles are siblings", "wire/rfc9132/a.go", ours + "/wire/draft04", "siblings"},
		{"profiles meet in tests", "wire/rfc9132/a_test.go", ours + "/wire/draft04", ""},
		{"server side carries messages", "downstream/a.go", ours + "/internal/carry", ""},
		{"the client carries messages", "internal/ctl/a.go", ours + "/internal/carry", ""},
		{"the core carries none", "gateway/a.go", ours + "/internal/carry", "the core is a function"},
		{"what carries knows no profile", "internal/carry/a.go", ours + "/wire/rfc9132", "whatever the profile"},
		{"a store knows records", "store/sqlite/a.go", ours + "/store", ""},
		{"a store knows no words", "store/sqlite/a.go", ours + "/dots", "not their meaning"},
		{"wiring imports all", "internal/app/a.go", ours + "/downstream", ""},
		{"only the daemon imports the wiring", "cmd/dotsctl/a.go", ours + "/internal/app", "no code of the daemon"},
		{"the daemon holds no lab", "cmd/dotsgate/a.go", ours + "/internal/lab", "main is flags"},
		{"the client's tests use the lab", "internal/ctl/a_test.go", ours + "/internal/lab", ""},
		{"the client does not", "internal/ctl/a.go", ours + "/internal/lab", "shares the wire"},
		{"tests use helpers", "gateway/a_test.go", ours + "/internal/testpki", ""},
		{"code does not", "gateway/a.go", ours + "/internal/testpki", "the core is a function"},
		{"an unknown room", "magic/a.go", ours + "/dots", "not in rooms.go"},
		{"an external test of its own package", "magic/a_test.go", ours + "/magic", ""},
		{"metrics library", "upstream/a.go", "github.com/prometheus/client_golang/prometheus", "metrics are a seam"},
		{"metrics library in its room", "internal/metrics/a.go", "github.com/prometheus/client_golang/prometheus", ""},
		{"DTLS above the sessions", "downstream/a.go", "github.com/pion/dtls/v3", "can be exchanged"},
		{"codec in the sessions", "internal/coap/a.go", "github.com/plgd-dev/go-coap/v3/udp/coder", ""},
		{"go-coap's sessions", "internal/coap/a.go", "github.com/plgd-dev/go-coap/v3/dtls", "codecs only"},
		{"go-coap's sessions in a test", "internal/coap/a_test.go", "github.com/plgd-dev/go-coap/v3/dtls", "codecs only"},
		{"CBOR above the wire", "gateway/a.go", "github.com/fxamacker/cbor/v2", "CBOR ends at the wire"},
		{"CBOR in a test", "gateway/a_test.go", "github.com/fxamacker/cbor/v2", ""},
		{"test module in code", "gateway/a.go", "github.com/google/go-cmp/cmp", "comparisons for tests"},
		{"test module in a helper", "internal/testnet/a.go", "github.com/google/go-cmp/cmp", ""},
		{"a module with a like name", "internal/coap/a.go", "github.com/pionx/dtls", "not in modules.go"},
		{"memory without types", "internal/record/a.go", "unsafe", "a few system calls"},
		{"an unknown module", "internal/app/a.go", "example.org/new", "not in modules.go"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := fstest.MapFS{tt.file: {Data: []byte("package a\n\nimport _ \"" + tt.imp + "\"\n")}}
			bad, err := house().check(fsys)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(bad, "\n")
			if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if tt.want != "" && !strings.HasPrefix(got, tt.file+": imports "+tt.imp+": ") {
				t.Errorf("got %q: does not name the file and the import", got)
			}
		})
	}
}

func TestMatches(t *testing.T) {
	tests := []struct {
		pattern, pkg string
		want         bool
	}{
		{"dots", "dots", true},
		{"dots", "dots/sub", false},
		{"wire/*", "wire", false},
		{"wire/*", "wire/draft04", true},
		{"wire/*", "wire/draft04/deep", false},
		{"internal/test*", "internal/testpki", true},
		{"internal/test*", "internal/tools", false},
		{"**", "anything/at/all", true},
	}
	for _, tt := range tests {
		if got := matches(tt.pattern, tt.pkg); got != tt.want {
			t.Errorf("matches(%q, %q) = %v, want %v", tt.pattern, tt.pkg, got, tt.want)
		}
	}
}

func TestScan(t *testing.T) {
	src := func(imp string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package a\n\nimport \"" + imp + "\"\n\nthis does not compile")}
	}
	got, err := scan(fstest.MapFS{
		"a/a.go":           src("os"),
		"a/a_test.go":      src("testing"),
		"a/testdata/b.go":  src("never"),
		".bin/c.go":        src("never"),
		"build/d.go":       src("never"),
		"a/readme.txt":     {Data: []byte("import")},
		"root.go":          src("fmt"),
		"a/.hidden/not.go": src("never"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []importer{
		{pkg: "a", file: "a/a.go", imp: "os"},
		{pkg: "a", file: "a/a_test.go", imp: "testing", test: true},
		{pkg: ".", file: "root.go", imp: "fmt"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(importer{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := scan(fstest.MapFS{"a.go": {Data: []byte("packag a")}}); err == nil {
		t.Error("a file without a package clause was accepted")
	}
}

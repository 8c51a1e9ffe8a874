package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// marksIn returns the marks of one file as "section name".
func marksIn(t *testing.T, name, body string) []string {
	t.Helper()
	marks, err := scan(fstest.MapFS{name: {Data: []byte("package p\n\n" + body + "\n")}})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range marks {
		out = append(out, m.rfc+" "+m.section+" "+m.name)
	}
	return out
}

// TestForms shows what is a mark, letter by letter.
func TestForms(t *testing.T) {
	for _, tt := range []struct {
		name, comment string
		want          []string
	}{
		{"plain", "RFC 9132, Section 4.4.1", []string{"9132 4.4.1 F"}},
		{"end of a sentence", "See RFC 9132, Section 4.4.1.", []string{"9132 4.4.1 F"}},
		{"before a colon", "RFC 768, Section 1: ports", []string{"768 1 F"}},
		{"five digits", "RFC 10000, Section 2.3", []string{"10000 2.3 F"}},
		{"two in a line", "RFC 9132, Section 2 and RFC 8783, Section 3", []string{"9132 2 F", "8783 3 F"}},
		{"no comma", "RFC 9132 Section 4", nil},
		{"plural", "RFC 9132, Sections 4 and 5", nil},
		{"small letters", "rfc 9132, section 4", nil},
		{"no space", "RFC9132, Section 4", nil},
		{"appendix", "RFC 9132, Appendix A", nil},
		{"table", "RFC 9132, Table 4", nil},
		{"two digits", "RFC 12, Section 4", nil},
		{"over a line's end", "RFC 9132,\n// Section 4", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, marksIn(t, "p.go", "// "+tt.comment+"\nfunc F() {}")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestEnclosing shows whose mark it is.
func TestEnclosing(t *testing.T) {
	const mark = "RFC 9132, Section 2"
	for _, tt := range []struct{ name, body, want string }{
		{"above a function", "// " + mark + "\nfunc F() {}", "F"},
		{"in a function", "func F() {\n\t// " + mark + "\n}", "F"},
		{"at a function's last brace", "func F() {\n} // " + mark, ""},
		{"in a parameter list", "func F(\n\ta int, // " + mark + "\n) {\n}", "F"},
		{"method", "// " + mark + "\nfunc (T) M() {}", "T.M"},
		{"method of a pointer", "// " + mark + "\nfunc (t *T) M() {}", "T.M"},
		{"method of a generic type", "// " + mark + "\nfunc (t *T[K]) M() {}", "T.M"},
		{"method of one with two parameters", "// " + mark + "\nfunc (t T[K, V]) M() {}", "T.M"},
		{"receiver in parentheses", "// " + mark + "\nfunc (t (T)) M() {}", "M"},
		{"apart from what follows", "// " + mark + "\n\nfunc F() {}", ""},
		{"between two", "func F() {}\n\n// " + mark + "\n\nfunc G() {}", ""},
		{"above a type", "// " + mark + "\ntype T int", "T"},
		{"at a field", "type T struct {\n\ta int // " + mark + "\n}", "T"},
		{"in an interface", "type T interface {\n\t// M is " + mark + "\n\tM()\n}", "T"},
		{"behind a variable", "var (\n\tA = 1\n\tB = 2 // " + mark + "\n)", "B"},
		{"two names at once", "// " + mark + "\nvar A, B = 1, 2", "A"},
		{"in a value", "var A = []string{\n\t\"x\", // " + mark + "\n}", "A"},
		{"types in a group", "type (\n\t// A is.\n\tA int\n\t// B is " + mark + "\n\tB int\n)", "B"},
		{"at an import", "import \"fmt\" // " + mark, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := marksIn(t, "p.go", tt.body)
			if len(got) != 1 || got[0] != "9132 2 "+tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestWhatIsATest: a mark proves something only where something is proved.
func TestWhatIsATest(t *testing.T) {
	for name, want := range map[string]bool{
		"policy/admit.go": false, "policy/admit_test.go": true, "internal/interop/a_test.go": true,
		"internal/testpki/testpki.go": true, "store/storetest/contract.go": true, "store/storetests.go": false,
		"internal/lab/lab.go": false, "internal/ctl/latest.go": false,
	} {
		if got := forTests(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

// TestOrder: sections stand as a reader looks for them, by numbers and not by letters.
func TestOrder(t *testing.T) {
	var marks []mark
	for _, s := range []string{"10", "9132 4.10", "9132 4.4.1", "9132 4.4", "9132 4.9.9", "9132 4", "8783 11.1", "768 2"} {
		rfc, section, ok := strings.Cut(s, " ")
		if !ok {
			rfc, section = "9132", s
		}
		marks = append(marks, mark{rfc: rfc, section: section, file: "a.go"})
	}
	var got []string
	for _, r := range gather(marks) {
		got = append(got, r.rfc+" "+r.section)
	}
	want := []string{"768 2", "8783 11.1", "9132 4", "9132 4.4", "9132 4.4.1", "9132 4.9.9", "9132 4.10", "9132 10"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestSkipped: what implements no protocol can claim nothing.
func TestSkipped(t *testing.T) {
	fsys := fstest.MapFS{}
	for _, dir := range []string{".git", "build", "lab", "internal/tools/x", "internal/archtest", "wire/testdata", "a/.b"} {
		fsys[dir+"/x.go"] = &fstest.MapFile{Data: []byte("package x // RFC 9132, Section 5\n")}
	}
	fsys["internal/lab/x.go"] = &fstest.MapFile{Data: []byte("package lab // RFC 9132, Section 6\n")}
	got, err := scan(fsys)
	if err != nil || len(got) != 1 || got[0].file != "internal/lab/x.go" {
		t.Errorf("got %v, %v; want internal/lab/x.go alone", got, err)
	}
}

// TestFailures: what cannot be read or written is told, and a document half written is no success.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("head.md", "# Head\n")
	write("a.go", "package a\n")
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	good := config{root: dir, head: "head.md", out: "out.md"}
	for _, tt := range []struct {
		name   string
		change func(*config)
		want   string
	}{
		{"no such root", func(c *config) { c.root += "/none" }, "gathering marks: "},
		{"no head", func(c *config) { c.head = "none.md" }, "reading the head: "},
		{"no head to check", func(c *config) { c.head, c.check = "none.md", true }, "reading the head: "},
		{"cannot write", func(c *config) { c.out = "folder" }, "writing the document: "},
		{"cannot read", func(c *config) { c.out, c.check = "folder", true }, "reading the document: "},
	} {
		cfg := good
		tt.change(&cfg)
		var out strings.Builder
		fresh, err := run(&out, cfg)
		if fresh || err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: fresh %v, error %v", tt.name, fresh, err)
		}
		if errors.Unwrap(err) == nil {
			t.Errorf("%s: %v has lost its cause", tt.name, err)
		}
	}
	for _, check := range []bool{false, true, true} {
		good.check = check
		if _, err := run(nobody{}, good); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("check %v: nobody listens, and the error is %v", check, err)
		}
	}
	if _, err := scan(unreadable{fstest.MapFS{"a.go": {Data: []byte("package a\n")}}}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a source that may not be read: %v", err)
	}
}

// nobody is a reader that has gone.
type nobody struct{}

func (nobody) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// unreadable is a tree whose Go files may not be opened.
type unreadable struct{ fs.FS }

func (u unreadable) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".go") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return u.FS.Open(name)
}

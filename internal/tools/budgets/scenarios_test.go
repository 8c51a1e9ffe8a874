package main

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func text(lines int) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(strings.Repeat("x\n", lines))}
}

// TestScenarios shows which files of test data are scripts, and that the Go files beside them are nobody's source.
func TestScenarios(t *testing.T) {
	fsys := source("")
	fsys["gateway/testdata/refresh.txt"] = text(7)
	fsys["gateway/testdata/deep/loss.txt"] = text(5)
	fsys["gateway/testdata/play.txtar"] = text(3)
	fsys["downstream/testdata/observe.txtar"] = text(11)
	fsys["testdata/whole.txtar"] = text(2)
	for _, none := range []string{
		"wire/testdata/dump.txt", "gateway/sub/testdata/a.txt", "gateway/notes.txt", "gateway/play.txtar", "gateway/testdata/fuzz/FuzzStep/0a1b",
		"gateway/testdata/broken.go", "gateway/testdata/table.csv", "internal/tools/t/testdata/a.txtar",
		".git/testdata/a.txtar", "build/testdata/a.txtar",
	} {
		fsys[none] = text(1000)
	}
	tr, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	want := []scenario{
		{path: "downstream/testdata/observe.txtar", lines: 11},
		{path: "gateway/testdata/deep/loss.txt", lines: 5},
		{path: "gateway/testdata/play.txtar", lines: 3},
		{path: "gateway/testdata/refresh.txt", lines: 7},
		{path: "testdata/whole.txtar", lines: 2},
	}
	if diff := cmp.Diff(want, tr.scenarios, cmp.AllowUnexported(scenario{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, f := range tr.files {
		if strings.Contains(f.path, testData) {
			t.Errorf("%s is measured as source", f.path)
		}
	}
}

// TestScenarioThatCannotBeRead: a number that leaves something out must not pass for the whole.
func TestScenarioThatCannotBeRead(t *testing.T) {
	fsys := source("")
	fsys["gateway/testdata/a.txt"] = text(1)
	if _, err := load(unreadable{fsys, "gateway/testdata/a.txt"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a scenario: %v", err)
	}
	if _, err := load(unreadable{fsys, "p/p.go"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a source: %v", err)
	}
	if _, err := load(unreadable{fsys, "go.mod"}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("go.mod: %v", err)
	}
	if _, err := loadExcuses(unreadable{fsys, "allow"}, "allow"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the allow-list: %v", err)
	}
}

// unreadable is a tree in which one file may not be opened.
type unreadable struct {
	fs.FS
	name string
}

func (u unreadable) Open(name string) (fs.File, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return u.FS.Open(name)
}

// TestRatio counts each kind of file on its side.
func TestRatio(t *testing.T) {
	tests := []struct {
		name, file string
		want       string // value, with 100 lines of production beside the file's 100
		note       string
	}{
		{"test file", "p/f_test.go", "1", "100 lines of tests in Go and 0 in scenario files, to 100 of production"},
		{"scenario", "gateway/testdata/a.txt", "1", "0 lines of tests in Go and 100 in scenario files, to 100 of production"},
		{"test helper", "internal/testx/x.go", "1", "100 lines of tests in Go"},
		{"store's suite", "store/storetest/x.go", "1", "100 lines of tests in Go"},
		{"rules about imports", "internal/archtest/x.go", "1", "100 lines of tests in Go"},
		{"the lab", "internal/lab/x.go", "0", "to 200 of production (internal/lab is production, internal/tools is neither)"},
		{"a tool", "internal/tools/x/x.go", "0", "to 100 of production"},
		{"a tool's test", "internal/tools/x/x_test.go", "0", "0 lines of tests in Go"},
		{"data", "wire/testdata/a.txt", "0", "to 100 of production"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := sized(100)
			fsys[tt.file] = &fstest.MapFile{Data: []byte("package x\n" + strings.Repeat("\n", 99))}
			row := measured(t, fsys)["test-to-production-lines"]
			if row.value != tt.want || !strings.Contains(row.note, tt.note) {
				t.Errorf("got %s, %q; want %s, %q", row.value, row.note, tt.want, tt.note)
			}
		})
	}
}

// TestEmptyTree: no code at all is no division by zero, and no verdict that somebody could be proud of.
func TestEmptyTree(t *testing.T) {
	rows := measured(t, fstest.MapFS{"go.mod": {Data: []byte("module m\n")}})
	if row := rows["test-to-production-lines"]; row.value != "0" || row.ok {
		t.Errorf("ratio: %+v", row)
	}
	for _, rule := range []string{"median-file-lines", "p90-file-lines", "functions-over-60-lines-%"} {
		if row := rows[rule]; row.value != "0" {
			t.Errorf("%s: %+v", rule, row)
		}
	}
}

// TestReportShowsNotes: what a number was counted from is told, missed or not.
func TestReportShowsNotes(t *testing.T) {
	for _, ok := range []bool{true, false} {
		var out strings.Builder
		good, err := report(&out, []result{{rule: "a", value: "1", limit: "min 2", ok: ok, note: "1 of this"}}, nil)
		if err != nil || good != ok {
			t.Errorf("good %v, error %v", good, err)
		}
		if got := strings.Count(out.String(), "  a: 1 of this\n"); got != 1 {
			t.Errorf("ok %v: the note stands %d times in\n%s", ok, got, out.String())
		}
	}
}

// full takes so many bytes and then fails, as a pipe whose reader has gone.
type full struct{ left int }

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// TestReportThatCannotBeWritten: a report cut off anywhere is an error, never "all kept".
func TestReportThatCannotBeWritten(t *testing.T) {
	rows := []result{{rule: "a", value: "1", limit: "max 2", ok: true, note: "why"}}
	var whole strings.Builder
	if ok, err := report(&whole, rows, nil); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for n := range whole.Len() {
		if ok, err := report(&full{left: n}, rows, nil); !errors.Is(err, io.ErrShortWrite) || ok {
			t.Fatalf("after %d of %d bytes: %v, %v", n, whole.Len(), ok, err)
		}
	}
	if ok, err := report(&full{left: whole.Len()}, rows, nil); err != nil || !ok {
		t.Errorf("with just enough room: %v, %v", ok, err)
	}
}

package archtest

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// TestRoomsAreDocumented: every directory of internal/ stands in the table of ARCHITECTURE.md, and every one that the table
// names is there.
func TestRoomsAreDocumented(t *testing.T) {
	text, err := fs.ReadFile(realTree(), "ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := tableRooms(string(text))
	entries, err := fs.ReadDir(realTree(), "internal")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := "internal/" + e.Name()
		if e.IsDir() && !documented[name] {
			t.Errorf("%s has no row in the table of ARCHITECTURE.md", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("ARCHITECTURE.md has a row for %s, which is not there", name)
	}
}

// tableRooms returns the rooms of internal/ in the first column of the document's table of rooms.
func tableRooms(document string) map[string]bool {
	_, rest, _ := strings.Cut(document, "| room |")
	table, _, _ := strings.Cut(rest, "\n\n")
	named := regexp.MustCompile("`(internal/[a-z]+)`")
	found := make(map[string]bool)
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 2 {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(cells[1], -1) {
			found[m[1]] = true
		}
	}
	return found
}

func TestTableRooms(t *testing.T) {
	got := tableRooms("`internal/before`\n\n| room | may |\n|---|---|\n| `internal/a`, `internal/b` | `internal/c` |\n\n| `internal/d` | x |\n")
	if len(got) != 2 || !got["internal/a"] || !got["internal/b"] {
		t.Errorf("tableRooms() = %v", got)
	}
}

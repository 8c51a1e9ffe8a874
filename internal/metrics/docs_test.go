package metrics

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

// TestDocs compares the table of docs/metrics.md with the definitions, row by row and in order.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	tableRow := regexp.MustCompile("^\\| `dotsgate_[a-z_]+` \\| (counter|gauge|histogram) \\|")
	var got []string
	for line := range strings.Lines(string(doc)) {
		if tableRow.MatchString(line) {
			got = append(got, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, d := range definitions() {
		want = append(want, row(d))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/metrics.md (-definitions +document)\n%s", diff)
	}
}

func row(d definition) string {
	labels := make([]string, 0, len(d.labels))
	for _, l := range d.labels {
		labels = append(labels, "`"+l+"`")
	}
	return "| `" + d.name + "` | " + string(d.kind) + " | " + strings.Join(labels, ", ") + " | " + d.help + " |"
}

// TestEveryDefinitionIsShown touches everything once and compares what a scrape shows with the definitions.
func TestEveryDefinitionIsShown(t *testing.T) {
	m := New(Config{Uplinks: []string{"a"}, Pressure: func() Pressure { return Pressure{} }, Front: func() Front { return Front{} }, CoAP: func(Side) CoAPCounters { return CoAPCounters{} }})
	m.Request(Downstream, MethodGet, dots.CodeContent)
	m.SetLegs("a", nil)
	m.Notified(dots.CodeContent)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "dotsgate_") {
			got[f.GetName()] = strings.ToLower(f.GetType().String()) + ": " + f.GetHelp()
		}
	}
	want := map[string]string{}
	for _, d := range definitions() {
		want[d.name] = string(d.kind) + ": " + d.help
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-definitions +scrape)\n%s", diff)
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	form := regexp.MustCompile(`^dotsgate_[a-z][a-z_]*[a-z]$`)
	seen := map[string]bool{}
	for _, d := range definitions() {
		if !form.MatchString(d.name) || seen[d.name] {
			t.Errorf("%s: bad or repeated name", d.name)
		}
		seen[d.name] = true
		if total := strings.HasSuffix(d.name, "_total"); total != (d.kind == counter) {
			t.Errorf("%s is a %s: counters, and only they, end in _total", d.name, d.kind)
		}
		if !strings.HasSuffix(d.help, ".") {
			t.Errorf("%s: help is not a sentence", d.name)
		}
	}
}

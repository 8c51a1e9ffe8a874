package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sim is a simulated mitigator of a test.
type sim struct {
	t   *testing.T
	cfg MitigatorConfig
}

func newSim(t *testing.T) *sim {
	t.Helper()
	dir := t.TempDir()
	s := &sim{t: t, cfg: MitigatorConfig{Dir: dir, Scenario: filepath.Join(dir, "scenario"), Now: time.Unix(1_800_000_000, 0)}}
	s.scenario("")
	return s
}

func (s *sim) scenario(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.cfg.Scenario, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// run asks once, and returns the answer as it is on the wire.
func (s *sim) run(question string) string {
	s.t.Helper()
	var out strings.Builder
	if err := Mitigate(s.cfg, strings.NewReader(question), &out); err != nil {
		s.t.Fatalf("%s: %v", question, err)
	}
	return strings.TrimSpace(out.String())
}

const startX = `{"version":1,"action":"start","id":"s.x.1","mitigation":{"prefixes":["192.0.2.0/24"],"lifetime":600}}`

// TestMitigate plays a mitigation through, run by run: what is in force is known to the next one.
func TestMitigate(t *testing.T) {
	s := newSim(t)
	for _, tt := range []struct {
		scenario string
		wait     time.Duration
		question string
		want     string
	}{
		{"", 0, `{"version":1,"action":"list","scope":"s."}`, `{}`},
		{"attack: {packets: 100, bytes: 1000}", 0, startX, `{"status":"mitigated","counters":{"bytes":0,"bytes_per_second":1000,"packets":0,"packets_per_second":100}}`},
		{
			"attack: {packets: 100, bytes: 1000}", 2500 * time.Millisecond, `{"version":1,"action":"status","ids":["s.x.1","s.x.2"]}`,
			`{"mitigations":[{"id":"s.x.1","status":"mitigated","counters":{"bytes":2500,"bytes_per_second":1000,"packets":250,"packets_per_second":100}},{"id":"s.x.2","status":"terminated"}]}`,
		},
		{
			"{attack: {packets: 100, bytes: 1000}, capacity: {packets: 60}}", time.Second, `{"version":1,"action":"status","ids":["s.x.1"]}`,
			`{"mitigations":[{"id":"s.x.1","status":"exceeded","counters":{"bytes":3500,"bytes_per_second":1000,"packets":310,"packets_per_second":60}}]}`,
		},
		{"", time.Second, `{"version":1,"action":"status","ids":["s.x.1"]}`, `{"mitigations":[{"id":"s.x.1","status":"attack-stopped","counters":{"bytes":3500,"bytes_per_second":0,"packets":310,"packets_per_second":0}}]}`},
		{"", 0, `{"version":1,"action":"list","scope":"s."}`, `{"mitigations":[{"id":"s.x.1"}]}`},
		{"", 0, `{"version":1,"action":"list","scope":"other."}`, `{}`},
		{"refuse: 5.03", 0, `{"version":1,"action":"start","id":"s.x.2","mitigation":{"prefixes":["192.0.2.0/24"]}}`, `{"refused":{"code":"5.03","message":"no capacity"}}`},
		{"", 0, `{"version":1,"action":"stop","id":"s.x.1"}`, `{}`},
		{"", 0, `{"version":1,"action":"list","scope":"s."}`, `{}`},
	} {
		s.scenario(tt.scenario)
		s.cfg.Now = s.cfg.Now.Add(tt.wait)
		if got := s.run(tt.question); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.question, got, tt.want)
		}
	}
	list, err := readLines[MitigatorEntry](filepath.Join(s.cfg.Dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		list[i].Time = time.Time{}
	}
	want := []MitigatorEntry{
		{Action: "start", ID: "s.x.1", Prefixes: []string{"192.0.2.0/24"}, Lifetime: 600},
		{Action: "start", ID: "s.x.2", Prefixes: []string{"192.0.2.0/24"}, Refused: "5.03"},
		{Action: "stop", ID: "s.x.1"},
	}
	if d := cmp.Diff(want, list); d != "" {
		t.Errorf("the journal (-want +got)\n%s", d)
	}
}

func TestMitigateMistakes(t *testing.T) {
	for _, tt := range []struct{ scenario, question, says string }{
		{"", "", "reading the question"},
		{"", `{"version":2,"action":"list"}`, "version 2"},
		{"", `{"version":1,"action":"explode"}`, `"explode" is not known`},
		{"", `{"version":1,"action":"start","id":"x"}`, "what to put in force"},
		{"attacks: {}", startX, "attacks"},
		{"refuse: 4.04", startX, "neither 4.00 nor 5.03"},
	} {
		s := newSim(t)
		s.scenario(tt.scenario)
		var out strings.Builder
		if err := Mitigate(s.cfg, strings.NewReader(tt.question), &out); err == nil || !strings.Contains(err.Error(), tt.says) || out.Len() > 0 {
			t.Errorf("%q: %v, answered %q, want %q", tt.question, err, out.String(), tt.says)
		}
		if list, err := os.ReadDir(s.cfg.Dir); err != nil || len(list) != 1 {
			t.Errorf("%q: left behind %v, %v", tt.question, list, err)
		}
	}
	s := newSim(t)
	if err := os.WriteFile(filepath.Join(s.cfg.Dir, "in-force.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Mitigate(s.cfg, strings.NewReader(startX), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "what is in force") {
		t.Errorf("with a damaged state: %v", err)
	}
}

// TestMitigatorProgram: the program that the site writes is one run of the command, whatever its folder is called.
func TestMitigatorProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{cfg: StageConfig{Lab: self, Dir: filepath.Join(t.TempDir(), "it's here")}}
	if err := os.Mkdir(s.cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.mitigator("scrubber", capacityText(150, 100)); err != nil {
		t.Fatal(err)
	}
	answer := runProgram(t, s.path("scrubber"), startX)
	var got struct {
		Status   string
		Counters map[string]uint64
	}
	if err := json.Unmarshal(answer, &got); err != nil || got.Status != "exceeded" || got.Counters["packets_per_second"] != 100 {
		t.Errorf("answered %s, %v", answer, err)
	}
	if list, err := s.actions("scrubber"); err != nil || len(list) != 1 || list[0].ID != "s.x.1" {
		t.Errorf("the journal: %+v, %v", list, err)
	}
	if list, err := s.actions("other"); err != nil || len(list) != 0 {
		t.Errorf("another one's journal: %+v, %v", list, err)
	}
}

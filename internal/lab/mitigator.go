package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// MitigatorScenario is what a simulated mitigator does with each mitigation. It is read anew at each run, so it may be changed while
// the gateway that asks it goes on.
type MitigatorScenario struct {
	// Attack is what comes in.
	Attack Rate `yaml:"attack"`
	// Capacity is what is dropped of it at most; 0 means all.
	Capacity Rate `yaml:"capacity"`
	// Refuse refuses every start with this code, "4.00" or "5.03". Empty means none.
	Refuse CodeText `yaml:"refuse"`
}

// ReadMitigatorScenario reads a scenario from a YAML file. Unknown keys are errors.
func ReadMitigatorScenario(name string) (MitigatorScenario, error) {
	var s MitigatorScenario
	raw, err := os.ReadFile(name)
	if err != nil {
		return s, fmt.Errorf("reading the scenario: %w", err)
	}
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fmt.Errorf("reading %s: %w", name, err)
	}
	if s.Refuse != "" && s.Refuse != "4.00" && s.Refuse != "5.03" {
		return s, fmt.Errorf("reading %s: refuse: %q is neither 4.00 nor 5.03", name, s.Refuse)
	}
	return s, nil
}

// MitigatorConfig says where a simulated mitigator keeps what it must know from one run to the next.
type MitigatorConfig struct {
	// Dir is the folder of its state and its journal. Required; it is there.
	Dir string
	// Scenario is a file; empty means that nothing is attacked and everything is taken.
	Scenario string
	// Now is the time of the run; zero means now.
	Now time.Time
}

// The files in MitigatorConfig.Dir.
const (
	inForceFile          = "in-force.json"
	mitigatorJournalFile = "journal"
)

// MitigatorEntry is one question to a simulated mitigator: a line of JSON in its journal. Questions that change nothing, such as for
// the status, are not there.
type MitigatorEntry struct {
	Time     time.Time `json:"time"`
	Action   string    `json:"action"`
	ID       string    `json:"id"`
	Prefixes []string  `json:"prefixes,omitempty"`
	Lifetime int64     `json:"lifetime,omitempty"` // seconds
	Refused  string    `json:"refused,omitempty"`  // the code
}

// mitigatorMessage is what a gateway asks, as far as it matters here: docs/operations.md, "Local mitigators".
type mitigatorMessage struct {
	Version    int      `json:"version"`
	Action     string   `json:"action"`
	ID         string   `json:"id"`
	IDs        []string `json:"ids"`
	Scope      string   `json:"scope"`
	Mitigation *struct {
		Prefixes []string `json:"prefixes"`
		Lifetime int64    `json:"lifetime"`
	} `json:"mitigation"`
}

// mitigatorAnswer is what it is told.
type mitigatorAnswer struct {
	*mitigatorState
	Mitigations []mitigatorState  `json:"mitigations,omitempty"`
	Refused     *mitigatorRefusal `json:"refused,omitempty"`
}

// mitigatorRefusal says that nothing is done.
type mitigatorRefusal struct {
	Code    CodeText `json:"code"`
	Message string   `json:"message"`
}

// mitigatorState is how a mitigation fares.
type mitigatorState struct {
	ID       string             `json:"id,omitempty"`
	Status   string             `json:"status,omitempty"`
	Counters *mitigatorCounters `json:"counters,omitempty"`
}

// mitigatorCounters are what was dropped.
type mitigatorCounters struct {
	Bytes          uint64 `json:"bytes"`
	BytesPerSecond uint64 `json:"bytes_per_second"`
	Pkts           uint64 `json:"packets"`
	PktsPerSecond  uint64 `json:"packets_per_second"`
}

// inForce is a mitigation that the simulated mitigator does.
type inForce struct {
	Prefixes []string  `json:"prefixes"`
	At       time.Time `json:"at"` // when Bytes and Packets were counted
	Bytes    uint64    `json:"bytes"`
	Packets  uint64    `json:"packets"`
}

// Mitigate is one run of a simulated mitigator: it reads a question and answers it, as a gateway expects of a program. Runs must not
// overlap.
func Mitigate(cfg MitigatorConfig, in io.Reader, out io.Writer) error {
	var asked mitigatorMessage
	if err := json.NewDecoder(io.LimitReader(in, 1<<24)).Decode(&asked); err != nil {
		return fmt.Errorf("reading the question: %w", err)
	}
	if asked.Version != 1 {
		return fmt.Errorf("the question has version %d: only 1 is known", asked.Version)
	}
	m := simulated{cfg: cfg, held: map[string]*inForce{}}
	if cfg.Now.IsZero() {
		m.cfg.Now = time.Now()
	}
	if err := m.load(); err != nil {
		return err
	}
	answer, err := m.do(asked)
	if err == nil {
		err = m.save()
	}
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(answer); err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	return nil
}

// simulated is the mitigator during a run.
type simulated struct {
	cfg      MitigatorConfig
	scenario MitigatorScenario
	held     map[string]*inForce
}

func (m *simulated) load() (err error) {
	if m.cfg.Scenario != "" {
		if m.scenario, err = ReadMitigatorScenario(m.cfg.Scenario); err != nil {
			return err
		}
	}
	raw, err := os.ReadFile(filepath.Join(m.cfg.Dir, inForceFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("reading what is in force: %w", err)
	}
	if err := json.Unmarshal(raw, &m.held); err != nil {
		return fmt.Errorf("reading what is in force: %w", err)
	}
	return nil
}

func (m *simulated) save() error {
	raw, err := json.Marshal(m.held)
	if err != nil {
		return fmt.Errorf("keeping what is in force: %w", err)
	}
	return writeWhole(filepath.Join(m.cfg.Dir, inForceFile), raw, 0o600)
}

// do does what is asked.
func (m *simulated) do(asked mitigatorMessage) (mitigatorAnswer, error) {
	switch asked.Action {
	case "list":
		return m.list(asked.Scope), nil
	case "status":
		return m.status(asked.IDs), nil
	case "stop":
		delete(m.held, asked.ID)
		return mitigatorAnswer{}, m.note(MitigatorEntry{Action: asked.Action, ID: asked.ID})
	case "start", "change":
		return m.start(asked)
	}
	return mitigatorAnswer{}, fmt.Errorf("action %q is not known", asked.Action)
}

func (m *simulated) list(scope string) (a mitigatorAnswer) {
	for _, id := range sortedKeys(m.held) {
		if strings.HasPrefix(id, scope) {
			a.Mitigations = append(a.Mitigations, mitigatorState{ID: id})
		}
	}
	return a
}

func (m *simulated) start(asked mitigatorMessage) (mitigatorAnswer, error) {
	if asked.ID == "" || asked.Mitigation == nil {
		return mitigatorAnswer{}, errors.New("the question does not say what to put in force")
	}
	e := MitigatorEntry{
		Action: asked.Action, ID: asked.ID, Prefixes: asked.Mitigation.Prefixes, Lifetime: asked.Mitigation.Lifetime, Refused: string(m.scenario.Refuse),
	}
	if m.scenario.Refuse != "" {
		return mitigatorAnswer{Refused: &mitigatorRefusal{Code: m.scenario.Refuse, Message: "no capacity"}}, m.note(e)
	}
	f := m.held[asked.ID]
	if f == nil {
		f = &inForce{At: m.cfg.Now}
		m.held[asked.ID] = f
	}
	f.Prefixes = asked.Mitigation.Prefixes
	s := m.report(f)
	return mitigatorAnswer{mitigatorState: &s}, m.note(e)
}

func (m *simulated) status(ids []string) (a mitigatorAnswer) {
	for _, id := range ids {
		s := mitigatorState{Status: "terminated"}
		if f := m.held[id]; f != nil {
			s = m.report(f)
		}
		s.ID = id
		a.Mitigations = append(a.Mitigations, s)
	}
	return a
}

// report counts what was dropped since the run before.
func (m *simulated) report(f *inForce) mitigatorState {
	var rate Rate
	var overBytes, overPackets bool
	rate.Bytes, overBytes = atMost(m.scenario.Attack.Bytes, m.scenario.Capacity.Bytes)
	rate.Packets, overPackets = atMost(m.scenario.Attack.Packets, m.scenario.Capacity.Packets)
	passed := uint64(max(m.cfg.Now.Sub(f.At), 0) / time.Millisecond)
	f.Bytes, f.Packets, f.At = f.Bytes+rate.Bytes*passed/1000, f.Packets+rate.Packets*passed/1000, m.cfg.Now
	s := mitigatorState{Status: "mitigated", Counters: &mitigatorCounters{
		Bytes: f.Bytes, BytesPerSecond: rate.Bytes, Pkts: f.Packets, PktsPerSecond: rate.Packets,
	}}
	switch {
	case overBytes || overPackets:
		s.Status = "exceeded"
	case m.scenario.Attack == (Rate{}):
		s.Status = "attack-stopped"
	}
	return s
}

// atMost is what is dropped of an attack, and whether it is more than can be.
func atMost(attack, capacity uint64) (uint64, bool) {
	if capacity == 0 || attack <= capacity {
		return attack, false
	}
	return capacity, true
}

// note writes a line of the journal.
func (m *simulated) note(e MitigatorEntry) error {
	e.Time = m.cfg.Now
	f, err := os.OpenFile(filepath.Join(m.cfg.Dir, mitigatorJournalFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}
	j := NewJournal(f)
	j.Write(e)
	return errors.Join(j.Err(), f.Close())
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

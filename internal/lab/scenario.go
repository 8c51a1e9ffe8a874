package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/goccy/go-yaml"
)

// Scenario is what the simulated mitigator does with a mitigation, and what the simulated server refuses.
type Scenario struct {
	// Steps follow each other by their time. Empty means the steps of DefaultScenario.
	Steps []Step `yaml:"steps"`
	// Refusals of PUTs of mitigations.
	Refusals []Refusal `yaml:"put"`
	// Drop is how many requests, from the first on, are not answered. Heartbeats are not counted.
	Drop int `yaml:"drop"`
	// Silences are times in which no request is answered.
	Silences []Silence `yaml:"silent"`
	// MaxLifetime is the longest that is granted, in seconds; 0 means that all is granted, -1 included.
	MaxLifetime int64 `yaml:"max_lifetime"`
}

// Step is a status that a mitigation reaches.
type Step struct {
	// After is the time since the mitigation was put in force.
	After time.Duration `yaml:"after"`
	// Status is 1 to 4, or 7, with which the server withdraws it.
	Status dots.Status `yaml:"status"`
	// Rate is what is dropped from then on.
	Rate Rate `yaml:"rate"`
}

// Rate is what the mitigator drops in a second.
type Rate struct {
	Bytes   uint64 `yaml:"bytes"`
	Packets uint64 `yaml:"packets"`
}

// Refusal is an answer to one PUT of a mitigation in place of its execution.
type Refusal struct {
	// Nth counts the PUTs of the server's life from 1 on; 0 means every one.
	Nth int `yaml:"nth"`
	// MID refuses only this mid; absent means any.
	MID *uint32 `yaml:"mid"`
	// Prefix refuses only what asks for it, or for a part of it; empty means anything. It is the scope of a conflict.
	Prefix PrefixText `yaml:"prefix"`
	// Code is the answer, such as "4.09" or "5.03". "0.00" means no answer at all.
	Code CodeText `yaml:"code"`
	// Cause is the conflict-cause of a 4.09; 0 means none.
	Cause dots.ConflictCause `yaml:"cause"`
	// Retry is the conflict's retry-timer in seconds; 0 means none.
	Retry uint32 `yaml:"retry"`
	// MaxAge of a 5.03 in seconds; 0 means none.
	MaxAge uint32 `yaml:"max_age"`
	// Diagnostic is the text of the answer.
	Diagnostic string `yaml:"diagnostic"`
}

// PrefixText is a prefix such as 192.0.2.0/24.
type PrefixText string

// in reports whether one of the prefixes has something in common with it; empty has so with all.
func (p PrefixText) in(list []netip.Prefix) bool {
	own, err := netip.ParsePrefix(string(p))
	if p == "" || err != nil { // it was checked
		return p == ""
	}
	return slices.ContainsFunc(list, own.Overlaps)
}

// CodeText is a code in the form "4.09". In YAML it needs no quotes, although it looks like a number there.
type CodeText string

// UnmarshalYAML takes the text as it stands, so that 5.00 does not become 5.
func (c *CodeText) UnmarshalYAML(raw []byte) error {
	*c = CodeText(strings.Trim(strings.TrimSpace(string(raw)), `"'`))
	return nil
}

// Silence is a time in which the server does not answer.
type Silence struct {
	// After is the time since the server started.
	After time.Duration `yaml:"after"`
	// For is how long it lasts.
	For time.Duration `yaml:"for"`
}

// DefaultScenario accepts everything: a mitigation is being set up at once, mitigated after 2 seconds, and the attack
// stops after 10 minutes.
func DefaultScenario() Scenario {
	return Scenario{Steps: []Step{
		{Status: dots.StatusInProgress},
		{After: 2 * time.Second, Status: dots.StatusMitigated, Rate: Rate{Bytes: 125_000_000, Packets: 100_000}},
		{After: 10 * time.Minute, Status: dots.StatusStopped},
	}}
}

// maxScenario bounds a scenario file, in bytes.
const maxScenario = 1 << 20

// ReadScenario reads a scenario from a YAML file. Unknown keys are errors.
func ReadScenario(name string) (Scenario, error) {
	f, err := os.Open(name)
	if err != nil {
		return Scenario{}, fmt.Errorf("opening the scenario: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxScenario))
	if err != nil {
		return Scenario{}, fmt.Errorf("reading the scenario: %w", err)
	}
	s, err := ParseScenario(raw)
	if err != nil {
		return Scenario{}, fmt.Errorf("reading %s: %w", name, err)
	}
	return s, nil
}

// ParseScenario reads a scenario from YAML.
func ParseScenario(raw []byte) (Scenario, error) {
	var s Scenario
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Scenario{}, fmt.Errorf("parsing: %w", err)
	}
	return s, s.check()
}

// check says what is wrong with a scenario.
func (s Scenario) check() error {
	last := time.Duration(0)
	for i, step := range s.Steps {
		known := step.Status >= dots.StatusInProgress && step.Status <= dots.StatusExceeded || step.Status == dots.StatusWithdrawn
		switch {
		case !known:
			return fmt.Errorf("step %d: status %d is none of 1, 2, 3, 4 and 7", i+1, step.Status)
		case step.After < last:
			return fmt.Errorf("step %d: before the one that it follows", i+1)
		}
		last = step.After
	}
	for i, r := range s.Refusals {
		if _, err := parseCode(r.Code); err != nil {
			return fmt.Errorf("put %d: %w", i+1, err)
		}
		if _, err := netip.ParsePrefix(string(r.Prefix)); r.Prefix != "" && err != nil {
			return fmt.Errorf("put %d: %w", i+1, err)
		}
	}
	if s.MaxLifetime < 0 || s.Drop < 0 {
		return errors.New("a negative number")
	}
	return nil
}

// steps returns the steps, or the default ones.
func (s Scenario) steps() []Step {
	if len(s.Steps) == 0 {
		return DefaultScenario().Steps
	}
	return s.Steps
}

// silent reports whether the server is silent so long after its start.
func (s Scenario) silent(age time.Duration) bool {
	for _, q := range s.Silences {
		if age >= q.After && age < q.After+q.For {
			return true
		}
	}
	return false
}

// refusal returns what to answer to the nth PUT.
func (s Scenario) refusal(nth int, asked dots.Request) (Refusal, bool) {
	for _, r := range s.Refusals {
		if (r.Nth == 0 || r.Nth == nth) && (r.MID == nil || *r.MID == asked.MID) && r.Prefix.in(asked.Target.Prefixes) {
			return r, true
		}
	}
	return Refusal{}, false
}

// parseCode reads a code in the form "4.09".
func parseCode(s CodeText) (dots.Code, error) {
	class, detail, ok := strings.Cut(string(s), ".")
	c, err1 := strconv.ParseUint(class, 10, 3)
	d, err2 := strconv.ParseUint(detail, 10, 5)
	if !ok || err1 != nil || err2 != nil || len(detail) != 2 {
		return 0, fmt.Errorf("code %q is not of the form 4.09", s)
	}
	return dots.Code(c<<5 | d), nil
}

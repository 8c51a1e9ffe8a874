package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

const (
	// version is that of the JSON. It grows when a receiver of before would misread what is sent.
	version = 1
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 20
	// maxDelay bounds the time that a refusal may ask us to wait.
	maxDelay = 24 * time.Hour
)

// The actions.
const (
	actionList   = "list"   // what is in force?
	actionStart  = "start"  // put it in force
	actionChange = "change" // put it in force as it is now: it was started before
	actionStop   = "stop"   // end it
	actionStatus = "status" // how does it fare?
)

// message is what is asked. It names no client: an ID leads back to a leg of ours, and to nobody else.
type message struct {
	Version    int         `json:"version"`
	Action     string      `json:"action"`
	Request    string      `json:"request"`         // one for each time that something is asked; a repetition has it again
	ID         string      `json:"id,omitempty"`    // of start, change and stop
	IDs        []string    `json:"ids,omitempty"`   // of status
	Scope      string      `json:"scope,omitempty"` // of list: how the IDs begin that are meant
	Mitigation *mitigation `json:"mitigation,omitempty"`
}

// mitigation is what start and change put in force. A list that is absent means all ports or protocols, or none of the rest.
type mitigation struct {
	Prefixes  []string `json:"prefixes,omitempty"`
	FQDNs     []string `json:"fqdns,omitempty"`
	URIs      []string `json:"uris,omitempty"`
	Ports     []ports  `json:"ports,omitempty"`
	Protocols []int    `json:"protocols,omitempty"` // IP protocol numbers
	Lifetime  int64    `json:"lifetime"`            // seconds that are left; -1: without an end
}

// ports is an inclusive range.
type ports struct {
	Lower uint16 `json:"lower"`
	Upper uint16 `json:"upper"`
}

// mitigationOf is what is told of a leg.
func mitigationOf(leg dots.Leg) *mitigation {
	t := leg.Request.Target
	m := &mitigation{FQDNs: t.FQDNs, URIs: t.URIs, Lifetime: int64(leg.Request.Lifetime.Or(dots.DefaultLifetime))}
	for _, p := range t.Prefixes {
		m.Prefixes = append(m.Prefixes, p.String())
	}
	for _, p := range t.Ports {
		m.Ports = append(m.Ports, ports(p))
	}
	for _, p := range t.Protocols {
		m.Protocols = append(m.Protocols, int(p))
	}
	return m
}

// answer is what comes back. All of it may be missing: then what was asked is done, and there is nothing to tell.
type answer struct {
	state                // of the one that was asked of
	Mitigations []state  `json:"mitigations,omitempty"` // of list: what is in force; of status: what there is to tell
	Refused     *refusal `json:"refused,omitempty"`
}

// state is how a mitigation fares.
type state struct {
	ID       string   `json:"id,omitempty"`
	Status   string   `json:"status,omitempty"`
	Start    uint64   `json:"start,omitempty"` // seconds since the Unix epoch
	Counters counters `json:"counters,omitzero"`
}

// counters are what was dropped, as far as it is known.
type counters struct {
	Bytes          *uint64 `json:"bytes,omitempty"`
	BytesPerSecond *uint64 `json:"bytes_per_second,omitempty"`
	Pkts           *uint64 `json:"packets,omitempty"`
	PktsPerSecond  *uint64 `json:"packets_per_second,omitempty"`
}

// refusal says that what was asked is not done, and that asking again is of no use, or not for a while.
type refusal struct {
	Code       string `json:"code,omitempty"` // "4.00": it cannot be done; "5.03": not now; absent: 4.00
	Message    string `json:"message,omitempty"`
	RetryAfter uint32 `json:"retry_after,omitempty"` // seconds, of a 5.03
}

// parseAnswer reads an answer; nothing but white space is an empty one. Members that it does not know are passed over.
func parseAnswer(b []byte) (answer, error) {
	var a answer
	if len(b) > maxAnswer {
		return answer{}, fmt.Errorf("answer has more than %d bytes", maxAnswer)
	}
	if strings.TrimSpace(string(b)) == "" {
		return answer{}, nil
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	for _, s := range append([]state{a.state}, a.Mitigations...) {
		if _, err := s.report(); err != nil {
			return answer{}, fmt.Errorf("reading the answer: %w", err)
		}
	}
	if a.Refused != nil && a.Refused.code() == dots.CodeSilent {
		return answer{}, fmt.Errorf("reading the answer: code %q is neither 4.00 nor 5.03", a.Refused.Code)
	}
	return a, nil
}

// errStatus says that a status is none that a mitigator can tell.
var errStatus = errors.New("status is none of in-progress, mitigated, attack-stopped, exceeded, terminated and withdrawn")

// report is a state in our words; status 0 where it has none. What is told by clients and not by mitigators is an error: armed, and
// withdrawn by the client.
func (s state) report() (dots.Report, error) {
	r := dots.Report{Start: dots.Maybe[uint64]{Value: s.Start, Set: s.Start != 0}, Counters: s.Counters.words()}
	if s.Status == "" {
		return r, nil
	}
	for _, status := range []dots.Status{
		dots.StatusInProgress, dots.StatusMitigated, dots.StatusStopped, dots.StatusExceeded, dots.StatusTerminated, dots.StatusWithdrawn,
	} {
		if status.String() == s.Status {
			r.Status = status
			return r, nil
		}
	}
	return dots.Report{}, errStatus
}

// tells reports whether a state says anything.
func (s state) tells() bool { return s.Status != "" || s.Start != 0 || s.Counters != counters{} }

func (c counters) words() dots.Counters {
	maybe := func(v *uint64) dots.Maybe[uint64] {
		if v == nil {
			return dots.Maybe[uint64]{}
		}
		return dots.Some(*v)
	}
	return dots.Counters{
		BytesDropped: maybe(c.Bytes), BytesPerSecond: maybe(c.BytesPerSecond), PktsDropped: maybe(c.Pkts), PktsPerSecond: maybe(c.PktsPerSecond),
	}
}

// code is the refusal's; CodeSilent: none that we know.
func (r *refusal) code() dots.Code {
	switch r.Code {
	case "", "4.00":
		return dots.CodeBadRequest
	case "5.03":
		return dots.CodeUnavailable
	}
	return dots.CodeSilent
}

// error is the refusal in our words.
func (r *refusal) error() *dots.Error {
	e := dots.Refuse(r.code(), printable(r.Message))
	if e.Text == "" {
		e.Text = "refused by the mitigator"
	}
	if e.Code == dots.CodeUnavailable {
		e.MaxAge = min(time.Duration(r.RetryAfter)*time.Second, maxDelay)
	}
	return e
}

// printable is the first line of a text as far as it may be shown to a client.
func printable(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r >= math.MaxInt8 {
			return '?'
		}
		return r
	}, text)
	return strings.TrimSpace(clean[:min(len(clean), dots.MaxDiagnostic)])
}

package ctl

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// line is one thing to show: as a JSON object, or as text for people.
type line interface {
	text() string
}

// print shows one line.
func (t *tool) print(l line) error {
	if t.output != "json" {
		if _, err := fmt.Fprintln(t.out, Clean(l.text())); err != nil {
			return fmt.Errorf("writing the answer: %w", err)
		}
		return nil
	}
	raw, err := json.Marshal(l)
	if err == nil {
		_, err = t.out.Write(append(cleanJSON(raw), '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// answerLine is the answer to a request.
type answerLine struct {
	Code       string          `json:"code"`
	MID        *uint32         `json:"mid,omitempty"`
	Lifetime   *dots.Lifetime  `json:"lifetime,omitempty"` // seconds; -1: without end
	Conflict   *conflictObject `json:"conflict,omitempty"`
	MaxAge     *uint32         `json:"max_age,omitempty"` // seconds
	Redirect   string          `json:"redirect,omitempty"`
	Diagnostic string          `json:"diagnostic,omitempty"`
	note       string
}

func (l answerLine) text() string {
	words := map[string]string{"2.01": "created", "2.02": "withdrawn", "2.04": "changed"}
	if l.MID == nil { // it is about the session's configuration
		words["2.02"] = "back to the defaults"
	}
	parts := []string{l.Code}
	if w, ok := words[l.Code]; ok {
		parts[0] += " " + w
	}
	if l.MID != nil {
		parts = append(parts, fmt.Sprintf("mid %d", *l.MID))
	}
	if l.Lifetime != nil {
		parts = append(parts, "lifetime "+lifetimeText(*l.Lifetime))
	}
	if l.note != "" {
		parts = append(parts, l.note)
	}
	return strings.Join(parts, "  ")
}

// printAnswer shows an answer, and returns it as an error when it is no success. In text the error says it all.
func (t *tool) printAnswer(resp wire.Response, mid dots.Maybe[uint32]) error {
	l := answerLine{Code: resp.Code.String(), Diagnostic: resp.Diagnostic}
	if mid.Set {
		l.MID = &mid.Value
	}
	if resp.Granted.Set {
		l.Lifetime = &resp.Granted.Value.Lifetime
	}
	if resp.MaxAge.Set {
		l.MaxAge = &resp.MaxAge.Value
	}
	if resp.Conflict.Set {
		l.Conflict = conflictOf(resp.Conflict.Value)
		l.note = "conflict: " + conflictText(resp.Conflict.Value)
	}
	if resp.Redirect.Set {
		l.Redirect = resp.Redirect.Value.Server
	}
	failure := Failure(resp)
	if failure == nil || t.output == "json" {
		if err := t.print(l); err != nil {
			return err
		}
	}
	return failure
}

// reportLine is the state of one mitigation.
type reportLine struct {
	Time       time.Time       `json:"time"`
	MID        uint32          `json:"mid"`
	Status     string          `json:"status"`
	StatusCode int             `json:"status_code"`
	Lifetime   dots.Lifetime   `json:"lifetime"` // remaining seconds; -1: without end
	Start      *uint64         `json:"start,omitempty"`
	OnLoss     bool            `json:"on_signal_loss,omitempty"`
	Target     targetObject    `json:"target"`
	Counters   *countersObject `json:"counters,omitempty"`
	Conflict   *conflictObject `json:"conflict,omitempty"`
	report     dots.Report
	clock      bool // text begins with the time
}

func (l reportLine) text() string {
	if l.clock {
		return l.Time.Format(time.TimeOnly) + "  " + reportText(l.report)
	}
	return reportText(l.report)
}

func (t *tool) printReport(now time.Time, r dots.Report) error { return t.print(reportOf(now, r)) }

func reportOf(now time.Time, r dots.Report) reportLine {
	l := reportLine{
		Time: now, MID: r.MID, Status: r.Status.String(), StatusCode: int(r.Status), Lifetime: r.Lifetime, OnLoss: r.OnSignalLoss,
		Target: targetOf(r.Target), report: r,
	}
	if r.Start.Set {
		l.Start = &r.Start.Value
	}
	if r.Counters != (dots.Counters{}) {
		l.Counters = &countersObject{
			Bytes: pointer(r.Counters.BytesDropped), Packets: pointer(r.Counters.PktsDropped),
			BytesPerSecond: pointer(r.Counters.BytesPerSecond), PacketsPerSecond: pointer(r.Counters.PktsPerSecond),
		}
	}
	if r.Conflict.Set {
		l.Conflict = conflictOf(r.Conflict.Value)
	}
	return l
}

func pointer[T any](m dots.Maybe[T]) *T {
	if !m.Set {
		return nil
	}
	return &m.Value
}

type targetObject struct {
	Prefixes  []string `json:"prefixes,omitempty"`
	Ports     []string `json:"ports,omitempty"`
	Protocols []int    `json:"protocols,omitempty"`
	FQDNs     []string `json:"fqdns,omitempty"`
	URIs      []string `json:"uris,omitempty"`
	Aliases   []string `json:"aliases,omitempty"`
}

func targetOf(t dots.Target) targetObject {
	o := targetObject{FQDNs: t.FQDNs, URIs: t.URIs, Aliases: t.Aliases}
	for _, p := range t.Prefixes {
		o.Prefixes = append(o.Prefixes, p.String())
	}
	for _, p := range t.Ports {
		o.Ports = append(o.Ports, portText(p))
	}
	for _, p := range t.Protocols {
		o.Protocols = append(o.Protocols, int(p))
	}
	return o
}

type countersObject struct {
	Bytes            *uint64 `json:"bytes_dropped,omitempty"`
	Packets          *uint64 `json:"packets_dropped,omitempty"`
	BytesPerSecond   *uint64 `json:"bytes_per_second,omitempty"`
	PacketsPerSecond *uint64 `json:"packets_per_second,omitempty"`
}

type conflictObject struct {
	Status     int          `json:"status,omitempty"`
	Cause      int          `json:"cause,omitempty"`
	RetryTimer uint32       `json:"retry_timer,omitempty"` // seconds
	MID        *uint32      `json:"mid,omitempty"`
	Scope      targetObject `json:"scope"`
}

func conflictOf(c dots.Conflict) *conflictObject {
	return &conflictObject{
		Status: int(c.Status), Cause: int(c.Cause), RetryTimer: c.RetryTimer, MID: pointer(c.MID), Scope: targetOf(c.Scope),
	}
}

// pingLine says how the server was reached.
type pingLine struct {
	Transport string  `json:"transport"`
	Handshake float64 `json:"handshake"`  // seconds
	RoundTrip float64 `json:"round_trip"` // seconds
}

func (l pingLine) text() string {
	return fmt.Sprintf("the server is there over %s: session after %.1f ms, answer after %.1f ms", l.Transport, 1000*l.Handshake, 1000*l.RoundTrip)
}

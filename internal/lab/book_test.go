package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/google/go-cmp/cmp"
)

// noon is when every test of the book begins.
func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// sheet is a book with a clock that its test turns.
type sheet struct {
	t *testing.T
	*book
	now time.Time
}

func newSheet(t *testing.T, s Scenario) *sheet {
	t.Helper()
	return &sheet{t: t, now: noon(), book: newBook(ServerConfig{Scenario: s, MaxMitigations: 4}.withDefaults())}
}

func alice() owner { return owner{identity: "alice", cuid: "a"} }

// after turns the clock on, doing what is due at its time.
func (s *sheet) after(d time.Duration) {
	end := s.now.Add(d)
	for {
		_, next := s.tick(s.now)
		if next.IsZero() || next.After(end) {
			break
		}
		s.now = next
	}
	s.now = end
	s.tick(s.now)
}

// answer describes a response in a word or two.
func answer(resp wire.Response) string {
	text := resp.Code.String()
	if resp.Granted.Set {
		text += fmt.Sprintf(" %d/%d", resp.Granted.Value.MID, resp.Granted.Value.Lifetime)
	}
	if c := resp.Conflict; c.Set {
		text += fmt.Sprintf(" cause %d", c.Value.Cause)
		if c.Value.MID.Set {
			text += fmt.Sprintf(" with %d", c.Value.MID.Value)
		}
	}
	return text
}

// state lists what a client has as "mid:status".
func (s *sheet) state(by owner) string {
	var parts []string
	for _, r := range s.reports(s.now, by, dots.Maybe[uint32]{}) {
		parts = append(parts, fmt.Sprintf("%d:%d", r.MID, r.Status))
	}
	return strings.Join(parts, " ")
}

func (s *sheet) is(by owner, want string) {
	s.t.Helper()
	if got := s.state(by); got != want {
		s.t.Errorf("at %v: %s has %q, want %q", s.now.Sub(noon()), by.identity, got, want)
	}
}

func (s *sheet) puts(r request, want string) {
	s.t.Helper()
	if got := answer(s.put(s.now, r)); got != want {
		s.t.Errorf("at %v: PUT %d of %s = %q, want %q", s.now.Sub(noon()), r.ask.MID, r.by.identity, got, want)
	}
}

func of(by owner, a dots.Request) request { return request{by: by, ask: a} }

// TestPut goes through what a PUT may meet.
func TestPut(t *testing.T) {
	web, mail := prefixes("192.0.2.0/25"), prefixes("192.0.2.128/25")
	armed := ask(5, web)
	armed.OnSignalLoss = true
	bob := owner{identity: "bob", cuid: "b"}
	forever := ask(9, mail)
	forever.Lifetime = dots.Some(dots.Indefinite)
	noLifetime := dots.Request{MID: 9, Target: mail}
	tests := []struct {
		name  string
		put   request
		want  string
		state string // alice's
	}{
		{"RFC 9132, Section 4.4.1: a new mid is created", of(alice(), ask(11, mail)), "2.01 11/3600", "10:1 11:1"},
		{"RFC 9132, Section 4.4.1: a refresh", of(alice(), ask(10, web)), "2.04 10/3600", "10:1"},
		{"RFC 9132, Section 4.4.1.3: a known mid with another target", of(alice(), ask(10, mail)), "4.00", "10:1"},
		{"an older dialect may change a known mid", request{by: alice(), ask: ask(10, mail), update: true}, "2.04 10/3600", "10:1"},
		{"RFC 9132, Section 4.4.1: a lower mid that overlaps", of(alice(), ask(9, prefixes("192.0.2.1/32"))), "4.09 cause 1 with 10", "10:1"},
		{"a lower mid that does not", of(alice(), ask(9, mail)), "2.01 9/3600", "9:1 10:1"},
		{"RFC 9132, Section 4.4.1: a higher mid replaces what it overlaps", of(alice(), ask(12, prefixes("192.0.2.0/24"))), "2.01 12/3600", "12:1"},
		{"RFC 9132, Section 4.4.1: armed requests stand beside immediate ones", of(alice(), armed), "2.01 5/3600", "5:8 10:1"},
		{"another client's mitigations are its own", of(bob, ask(9, web)), "2.01 9/3600", "10:1"},
		{"RFC 9132, Section 4.4.1: a cuid of another's", of(owner{"eve", "a"}, ask(11, mail)), "4.09 cause 3", "10:1"},
		{"without end", of(alice(), forever), "2.01 9/-1", "9:1 10:1"},
		{"without a lifetime", of(alice(), noLifetime), "4.00", "10:1"},
		{
			"RFC 9132, Section 4.4.3: an efficacy update of nothing is not answered",
			request{by: alice(), ask: ask(11, web), efficacy: true},
			"0.00", "10:1",
		},
		{"RFC 9132, Section 4.4.3: an efficacy update", request{by: alice(), ask: ask(10, web), efficacy: true}, "2.04 10/3600", "10:1"},
		{"an efficacy update of other targets", request{by: alice(), ask: ask(10, mail), efficacy: true}, "4.00", "10:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSheet(t, Scenario{})
			s.puts(of(alice(), ask(10, web)), "2.01 10/3600")
			s.puts(tt.put, tt.want)
			s.is(alice(), tt.state)
		})
	}
}

func TestFullBook(t *testing.T) {
	s := newSheet(t, Scenario{})
	for i := range uint32(4) {
		s.puts(of(alice(), ask(i, prefixes(fmt.Sprintf("192.0.2.%d/32", i)))), fmt.Sprintf("2.01 %d/3600", i))
	}
	s.puts(of(alice(), ask(9, prefixes("198.51.100.0/24"))), "5.03")
	s.puts(of(alice(), ask(10, prefixes("192.0.2.0/31"))), "2.01 10/3600") // it takes the place of two
	s.is(alice(), "2:1 3:1 10:1")
	if s.count != 3 {
		t.Errorf("count = %d", s.count)
	}
}

// TestSteps follows a mitigation through the default scenario and its end.
func TestSteps(t *testing.T) {
	s := newSheet(t, Scenario{})
	s.puts(of(alice(), ask(1, prefixes("192.0.2.0/24"))), "2.01 1/3600")
	for _, at := range []struct {
		after time.Duration
		want  string
	}{
		{0, "1:1"},
		{2*time.Second - 1, "1:1"},
		{1, "1:2"},
		{10*time.Minute - 2*time.Second - 1, "1:2"},
		{1, "1:3"},
		{50*time.Minute - 1, "1:3"},
		{1, "1:6"}, // its lifetime is over
		{5*time.Second - 1, "1:6"},
		{1, ""},
	} {
		s.after(at.after)
		s.is(alice(), at.want)
	}
	if s.count != 0 || len(s.of) != 0 || len(s.identities) != 0 {
		t.Errorf("left over: %d, %v, %v", s.count, s.of, s.identities)
	}
}

func TestReport(t *testing.T) {
	s := newSheet(t, Scenario{Steps: []Step{
		{Status: dots.StatusInProgress},
		{After: 10 * time.Second, Status: dots.StatusMitigated, Rate: Rate{Bytes: 1000, Packets: 10}},
		{After: 20 * time.Second, Status: dots.StatusStopped},
	}})
	target := prefixes("192.0.2.0/24")
	s.puts(of(alice(), ask(1, target)), "2.01 1/3600")
	want := dots.Report{MID: 1, Target: target, Status: dots.StatusInProgress, Lifetime: 3600, Start: dots.Some(uint64(noon().Unix()))}
	check := func() {
		t.Helper()
		got := s.reports(s.now, alice(), dots.Some[uint32](1))
		if diff := cmp.Diff([]dots.Report{want}, got, cmp.Comparer(dots.Target.Equal)); diff != "" {
			t.Errorf("at %v, -want +got:\n%s", s.now.Sub(noon()), diff)
		}
	}
	check()
	s.after(12500 * time.Millisecond)
	want.Status, want.Lifetime = dots.StatusMitigated, 3588
	want.Counters = dots.Counters{
		BytesDropped: dots.Some[uint64](2500), PktsDropped: dots.Some[uint64](25),
		BytesPerSecond: dots.Some[uint64](1000), PktsPerSecond: dots.Some[uint64](10),
	}
	check()
	if got := s.dropping(); len(got) != 1 || got[0] != alice() {
		t.Errorf("dropping() = %v", got)
	}
	s.after(17500 * time.Millisecond)
	want.Status, want.Lifetime = dots.StatusStopped, 3570
	want.Counters = dots.Counters{
		BytesDropped: dots.Some[uint64](10000), PktsDropped: dots.Some[uint64](100),
		BytesPerSecond: dots.Some[uint64](0), PktsPerSecond: dots.Some[uint64](0),
	}
	check()
	if got := s.dropping(); len(got) != 0 {
		t.Errorf("dropping() = %v", got)
	}
	if got := s.reports(s.now, alice(), dots.Some[uint32](2)); got != nil {
		t.Errorf("reports of another mid = %v", got)
	}
}

// TestWithdraw: RFC 9132, Section 4.4.4: active but terminating, then terminated, then gone.
func TestWithdraw(t *testing.T) {
	s := newSheet(t, Scenario{})
	s.puts(of(alice(), ask(1, prefixes("192.0.2.0/24"))), "2.01 1/3600")
	s.after(3 * time.Second)
	s.withdraw(s.now, alice(), 1)
	s.is(alice(), "1:5")
	s.withdraw(s.now, alice(), 1) // again: no new period
	s.withdraw(s.now, alice(), 7) // an unknown one
	s.after(5*time.Second - 1)
	s.is(alice(), "1:5")
	s.after(1)
	s.is(alice(), "1:6")
	s.withdraw(s.now, alice(), 1)
	s.after(5*time.Second - 1)
	s.is(alice(), "1:6")
	s.after(1)
	s.is(alice(), "")
}

// TestWithdrawDoubles: RFC 9132, Section 4.4.4: the period doubles when it was asked for again meanwhile, to at most 300/120.
func TestWithdrawDoubles(t *testing.T) {
	s := newSheet(t, Scenario{})
	a := ask(1, prefixes("192.0.2.0/24"))
	s.puts(of(alice(), a), "2.01 1/3600")
	for _, period := range []time.Duration{5 * time.Second, 10 * time.Second, 12500 * time.Millisecond, 12500 * time.Millisecond} {
		s.withdraw(s.now, alice(), 1)
		s.after(period - 1)
		s.is(alice(), "1:5")
		s.puts(of(alice(), a), "2.04 1/3600")
		if s.state(alice()) == "1:5" {
			t.Errorf("after %v: not resumed", period)
		}
	}
	s.withdraw(s.now, alice(), 1)
	s.after(12500 * time.Millisecond)
	s.is(alice(), "1:6")
	s.puts(of(alice(), a), "2.01 1/3600") // an ended one makes room for a new one
	s.is(alice(), "1:1")
}

// TestArmed: RFC 9132, Section 4.4.1: with trigger-mitigation false it starts when the session is lost.
func TestArmed(t *testing.T) {
	s := newSheet(t, Scenario{})
	a := ask(1, prefixes("192.0.2.0/24"))
	a.OnSignalLoss = true
	s.puts(of(alice(), a), "2.01 1/3600")
	s.after(time.Minute)
	s.is(alice(), "1:8")
	if r := s.reports(s.now, alice(), dots.Some[uint32](1))[0]; r.Start.Set || !r.OnSignalLoss {
		t.Errorf("report of an armed one: %+v", r)
	}
	if changed := s.lost(s.now, "bob"); changed != nil {
		t.Errorf("bob's loss changed %v", changed)
	}
	if changed := s.lost(s.now, "alice"); len(changed) != 1 || changed[0] != alice() {
		t.Errorf("alice's loss changed %v", changed)
	}
	s.is(alice(), "1:1")
	s.after(2 * time.Second)
	s.is(alice(), "1:2")

	b := ask(2, prefixes("198.51.100.0/24"))
	b.OnSignalLoss = true
	s.puts(of(alice(), b), "2.01 2/3600")
	s.withdraw(s.now, alice(), 2) // nothing to wind down
	s.is(alice(), "1:2 2:6")
}

func TestWithdrawnByTheServer(t *testing.T) {
	s := newSheet(t, Scenario{Steps: []Step{{Status: dots.StatusInProgress}, {After: time.Second, Status: dots.StatusWithdrawn}}})
	s.puts(of(alice(), ask(1, prefixes("192.0.2.0/24"))), "2.01 1/3600")
	s.after(time.Second)
	s.is(alice(), "1:7")
	s.withdraw(s.now, alice(), 1)
	s.is(alice(), "1:7")
	s.after(5 * time.Second)
	s.is(alice(), "")
}

func TestRefusalsOfTheScenario(t *testing.T) {
	two := uint32(2)
	s := newSheet(t, Scenario{MaxLifetime: 60, Refusals: []Refusal{
		{Nth: 1, Code: "5.03", MaxAge: 7, Diagnostic: "busy"},
		{MID: &two, Code: "4.09", Cause: dots.CauseOverlappingTargets, Retry: 30},
		{Nth: 4, Code: "0.00"},
	}})
	a := of(alice(), ask(1, prefixes("192.0.2.0/25")))
	if got := s.put(s.now, a); got.MaxAge != dots.Some[uint32](7) || got.Diagnostic != "busy" || got.Code != dots.CodeUnavailable {
		t.Errorf("first PUT = %+v", got)
	}
	s.puts(a, "2.01 1/60") // and the lifetime is cut
	b := of(alice(), ask(2, prefixes("192.0.2.128/25")))
	if got := s.put(s.now, b); got.Conflict.Value.RetryTimer != 30 {
		t.Errorf("third PUT = %+v", got)
	}
	s.puts(a, "0.00")
	s.puts(b, "4.09 cause 1")
	s.is(alice(), "1:1")
	s.after(time.Minute)
	s.is(alice(), "1:6")
}

func TestOverlap(t *testing.T) {
	names := func(f, u, a string) dots.Target {
		return dots.Target{FQDNs: []string{f}, URIs: []string{u}, Aliases: []string{a}}
	}
	tests := []struct {
		a, b dots.Target
		want bool
	}{
		{prefixes("192.0.2.0/24"), prefixes("192.0.2.7/32"), true},
		{prefixes("192.0.2.0/25"), prefixes("192.0.2.128/25"), false},
		{prefixes("2001:db8::/32"), prefixes("192.0.2.0/24", "2001:db8::1/128"), true},
		{names("a.example", "", "x"), names("b.example", "https://b.example/", "y"), false},
		{names("a.example", "u", "x"), names("a.example", "v", "y"), true},
		{names("a.example", "u", "x"), names("b.example", "u", "y"), true},
		{names("a.example", "u", "x"), names("b.example", "v", "x"), true},
		{dots.Target{}, prefixes("192.0.2.0/24"), false},
	}
	for _, tt := range tests {
		if got := overlap(tt.a, tt.b); got != tt.want {
			t.Errorf("overlap(%v, %v) = %v", tt.a, tt.b, got)
		}
		if got := overlap(tt.b, tt.a); got != tt.want {
			t.Errorf("overlap(%v, %v) = %v", tt.b, tt.a, got)
		}
	}
}

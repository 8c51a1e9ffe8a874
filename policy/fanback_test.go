package policy

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// TestFanBack goes through the table of errors told back: in time, where the client still waits, and late.
func TestFanBack(t *testing.T) {
	const noMatter = "mitigation not available now"
	e := func(code dots.Code) *dots.Error { return &dots.Error{Code: code, Text: "secret of the uplink"} }
	aged := func(code dots.Code) *dots.Error { return &dots.Error{Code: code, MaxAge: 77 * time.Second} }
	conflict := func(c dots.Conflict) *dots.Error {
		return &dots.Error{Code: dots.CodeConflict, Conflict: dots.Some(c)}
	}
	taken := conflict(dots.Conflict{Cause: dots.CauseCUIDCollision})
	replaced := conflict(dots.Conflict{Cause: dots.CauseOverlappingTargets, MID: dots.Some(uint32(9))})
	wait := DefaultRetryAfter
	type out struct {
		code   dots.Code // told to the client; 0: nothing
		text   string
		action Action
		after  time.Duration
	}
	same := func(o out) [2]out { return [2]out{o, o} }
	tests := []struct {
		name string
		err  *dots.Error
		s    Situation
		want [2]out // in time, late
	}{
		{"success", nil, Situation{}, same(out{action: Accept})},
		{"5.00, own wait", e(dots.CodeInternal), Situation{RetryAfter: time.Minute}, [2]out{{dots.CodeUnavailable, noMatter, Refuse, time.Minute}, {action: Hold, after: time.Minute}}},
		{"4.00", e(dots.CodeBadRequest), Situation{}, same(out{dots.CodeBadRequest, "refused upstream: target or parameter", Refuse, 0})},
		{"4.00 on refresh", e(dots.CodeBadRequest), Situation{Refresh: true}, same(out{action: Recreate})},
		{"4.01", e(dots.CodeUnauthorized), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.02", e(dots.CodeBadOption), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.03", e(dots.CodeForbidden), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.04", e(dots.CodeNotFound), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.04 on refresh", e(dots.CodeNotFound), Situation{Refresh: true}, same(out{action: Recreate})},
		{"4.05", e(dots.CodeMethodNotAllowed), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.08", e(dots.CodeIncomplete), Situation{}, same(out{action: Hold, after: wait})},
		{"4.09 without a body", e(dots.CodeConflict), Situation{}, same(out{dots.CodeConflict, "conflict upstream", Refuse, 0})},
		{"4.09 of our newer mid", replaced, Situation{Refresh: true, Newer: dots.Some(uint32(9))}, same(out{action: Accept})},
		{"4.09 of another mid", replaced, Situation{Refresh: true, Newer: dots.Some(uint32(8))}, same(out{dots.CodeConflict, "conflict upstream", Refuse, 0})},
		{"4.09 cuid", taken, Situation{}, same(out{action: NewCUID})},
		{"4.09 cuid, per domain", taken, Situation{CUIDMode: CUIDPerDomain}, same(out{action: NewCUID})},
		{"4.09 cuid, per client", taken, Situation{CUIDMode: CUIDPerClient}, same(out{dots.CodeConflict, "cuid is in use", Refuse, 0})},
		{"4.09 cuid, in use", taken, Situation{CUIDInUse: true}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.13", e(dots.CodeTooLarge), Situation{}, same(out{dots.CodeTooLarge, "too large: split the targets over several mids", Refuse, 0})},
		{"4.15", e(dots.CodeUnsupportedFormat), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Alert, wait}, {action: Alert, after: wait}}},
		{"4.22", e(dots.CodeUnprocessable), Situation{}, same(out{action: Hold, after: wait})},
		{"5.00", e(dots.CodeInternal), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Refuse, wait}, {action: Hold, after: wait}}},
		{"5.01", e(dots.CodeNotImplemented), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Refuse, wait}, {action: Hold, after: wait}}},
		{"5.03", aged(dots.CodeUnavailable), Situation{}, [2]out{{dots.CodeUnavailable, noMatter, Refuse, 77 * time.Second}, {action: Hold, after: 77 * time.Second}}},
		{
			"5.03 redirect", &dots.Error{Code: dots.CodeUnavailable, MaxAge: 24 * time.Hour, Redirect: dots.Some(dots.Redirect{Server: "x"})},
			Situation{},
			same(out{action: Hold, after: 30 * time.Second}),
		},
		{"3.00", e(dots.CodeAlternateServer), Situation{}, same(out{action: Hold, after: wait})},
		{"5.08", &dots.Error{Code: dots.CodeLoop, Text: "b c"}, Situation{}, same(out{dots.CodeLoop, "gw b c", Refuse, 0})},
		{"5.08 through us", &dots.Error{Code: dots.CodeLoop, Text: "b gw c"}, Situation{}, same(out{dots.CodeUnavailable, "no way to a mitigator", Refuse, 0})},
	}
	alarms := map[string]bool{"5.08 through us": true, "5.03 redirect": true, "3.00": true}
	for _, tt := range tests {
		for i, when := range []string{"in time", "late"} {
			t.Run(tt.name+" "+when, func(t *testing.T) {
				s := tt.s
				s.Late, s.NodeID = i == 1, "gw"
				got := FanBack(tt.err, s)
				want := tt.want[i]
				if got.Action != want.action || got.RetryAfter != want.after {
					t.Errorf("%v after %v, want %v after %v", got.Action, got.RetryAfter, want.action, want.after)
				}
				if isRedirect := tt.name == "5.03 redirect" || tt.name == "3.00"; (got.Away == 5*time.Minute) != isRedirect || !isRedirect && got.Away != 0 {
					t.Errorf("elsewhere for %v", got.Away)
				}
				if got.Alarm != (want.action == Alert || alarms[tt.name]) {
					t.Errorf("alarm %v", got.Alarm)
				}
				if want.code == 0 {
					if got.ToClient != nil {
						t.Errorf("told: %v", got.ToClient)
					}
					return
				}
				if got.ToClient == nil || got.ToClient.Code != want.code || got.ToClient.Text != want.text {
					t.Fatalf("told %v, want %v %s", got.ToClient, want.code, want.text)
				}
				if want.code == dots.CodeUnavailable && got.ToClient.MaxAge != cmp.Or(want.after, wait) {
					t.Errorf("Max-Age %v", got.ToClient.MaxAge)
				}
			})
		}
	}
}

// RFC 9132, Section 6: a 4.00 names the keys; it is the client's fault only where the client put them there.
func TestFanBackUnknownKeys(t *testing.T) {
	lists := dots.Request{ACLs: []dots.ACLControl{{Name: "a", Activation: 2}}}
	sources := dots.Request{Source: dots.Source{Prefixes: []string{"192.0.2.0/24"}}}
	ports := dots.Request{Source: dots.Source{Ports: []dots.PortRange{{Lower: 1, Upper: 1}}}}
	raw := dots.Request{Optional: []dots.Raw{{Key: 200}}}
	tests := []struct {
		name    string
		request dots.Request
		keys    []uint64
		clients bool
	}{
		{"lists", lists, []uint64{53}, true},
		{"all of a list", lists, []uint64{52, 53, 23}, true},
		{"lists that nobody asked for", dots.Request{}, []uint64{53}, false},
		{"sources", sources, []uint64{32768, 32769}, true},
		{"source ports", ports, []uint64{32769, 32772}, true},
		{"beyond sources", sources, []uint64{32773}, false},
		{"raw", raw, []uint64{200}, true},
		{"another raw one", raw, []uint64{201}, false},
		{"one of ours among them", lists, []uint64{53, 14}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := FanBack(&dots.Error{Code: dots.CodeBadRequest, Keys: tt.keys}, Situation{Request: tt.request})
			if !tt.clients {
				if got.Action != Alert || got.ToClient == nil || got.ToClient.Code != dots.CodeUnavailable || len(got.ToClient.Keys) > 0 {
					t.Errorf("%+v", got)
				}
				return
			}
			wantDeny(t, got.ToClient, dots.CodeBadRequest, "attribute not supported upstream")
			if s := diff(tt.keys, got.ToClient.Keys); s != "" || got.Action != Refuse {
				t.Error(got.Action, s)
			}
		})
	}
}

func TestFanBackTranslatesConflicts(t *testing.T) {
	own := Expanded{Prefixes: prefixes("198.51.100.0/24")}
	tests := []struct {
		name     string
		in, want dots.Conflict
	}{
		{"overlap", dots.Conflict{
			Status: dots.ConflictAllInactive, Cause: dots.CauseOverlappingTargets, RetryTimer: 120, MID: dots.Some(uint32(5)),
			Scope: dots.Target{Prefixes: prefixes("198.51.100.0/25", "192.0.2.0/24"), Aliases: []string{"inside"}},
		}, dots.Conflict{
			Status: dots.ConflictAllInactive, Cause: dots.CauseOverlappingTargets, RetryTimer: 120,
			Scope: dots.Target{Prefixes: prefixes("198.51.100.0/25")},
		}},
		{
			"list",
			dots.Conflict{Cause: dots.CauseAcceptList, ACLs: []dots.ACLRef{{Name: "inside", Type: "ipv4"}}},
			dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseAcceptList},
		},
		{"legitimate traffic", dots.Conflict{Cause: dots.CauseLegitimateTraffic}, dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseLegitimateTraffic}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := FanBack(&dots.Error{Code: dots.CodeConflict, Conflict: dots.Some(tt.in)}, Situation{Own: own})
			if s := diff(dots.Some(tt.want), got.ToClient.Conflict); s != "" {
				t.Error(s)
			}
		})
	}
	bare := FanBack(&dots.Error{Code: dots.CodeConflict}, Situation{}).ToClient.Conflict
	if s := diff(dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets}), bare); s != "" {
		t.Error(s)
	}
}

// RFC 8768, Section 3: each proxy prepends its identifier and a space, where they fit, and does not pass on what it is named in.
func TestFanBackLoop(t *testing.T) {
	long := strings.Repeat("x", 60)
	tests := []struct {
		name, list string
		hide       bool
		code       dots.Code
		text       string
	}{
		{"prepended", "b c", false, dots.CodeLoop, "gw b c"},
		{"empty list", "", false, dots.CodeLoop, "gw"},
		{"just fits", long + "z", false, dots.CodeLoop, "gw " + long + "z"},
		{"does not fit: passed on as it is", long + "zz", false, dots.CodeLoop, long + "zz"},
		{"too long itself", strings.Repeat("y", 70), false, dots.CodeLoop, strings.Repeat("y", 62) + ".."},
		{"hidden", "b c", true, dots.CodeLoop, "gw"},
		{"our own", "b gw", false, dots.CodeUnavailable, "no way to a mitigator"},
		{"our own, hidden", "gw", true, dots.CodeUnavailable, "no way to a mitigator"},
		{"part of a name is not ours", "gw2 agw", false, dots.CodeLoop, "gw gw2 agw"},
		{"line break", "b\nc", false, dots.CodeLoop, "gw b?c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := FanBack(&dots.Error{Code: dots.CodeLoop, Text: tt.list}, Situation{NodeID: "gw", HideTopology: tt.hide}).ToClient
			if got.Code != tt.code || got.Text != tt.text || len(got.Text) > dots.MaxDiagnostic {
				t.Errorf("%v %q", got.Code, got.Text)
			}
		})
	}
}

// Nothing that the uplink wrote reaches the client, whatever the code, but the list of a 5.08.
func TestFanBackHidesTheUplink(t *testing.T) {
	for code := 1; code < 256; code++ {
		for _, s := range []Situation{{}, {Late: true}, {Refresh: true}, {CUIDMode: CUIDPerClient}} {
			err := &dots.Error{
				Code: dots.Code(code), Text: "10.0.0.1", Keys: nil,
				Conflict: dots.Some(dots.Conflict{MID: dots.Some(uint32(3)), Scope: dots.Target{Aliases: []string{"10.0.0.1"}}}),
			}
			s.NodeID = "gw"
			got := FanBack(err, s)
			if got.Action < Accept || got.Action > Alert || got.Action.String() == "none" {
				t.Errorf("%v: action %v", err.Code, got.Action)
			}
			c := got.ToClient
			if c == nil || c.Code == dots.CodeLoop {
				continue
			}
			if strings.Contains(c.Text, "10.0.0.1") || c.Redirect.Set || c.Conflict.Value.MID.Set || len(c.Conflict.Value.Scope.Aliases) > 0 || c.Text == "" {
				t.Errorf("%v: told %+v", err.Code, c)
			}
		}
	}
	if got := Action(77).String(); got != "alert" {
		t.Errorf("an unknown action reads %q", got)
	}
}

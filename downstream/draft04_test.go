package downstream

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/draft04"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

const (
	pathSignal   = "/v1/dots-signal/signal"
	pathOlderCfg = "/v1/dots-signal/config"

	// {1: {2: [{3: 1, 4: ["198.51.100.1"], 8: [6], 12: 3600}]}}
	bodyOlderPut = "a101a10281a40301" + "04816c3139382e35312e3130302e31" + "088106" + "0c190e10"
	bodyOlderID  = "a101a10281a10301" // {1: {2: [{3: 1}]}}
)

// bothDialects offers the older dialect besides.
func bothDialects(c *Config) { c.Profiles = []wire.Profile{rfc9132.New(), draft04.New()} }

// older makes a request of the older dialect.
func older(method coap.Code, path, body string) *coap.Message {
	m := request(method, path, body)
	if body != "" {
		m.Options.SetUint(coap.ContentFormat, 60)
	}
	return m
}

func (r *rig) olderClient(tcp bool) *client {
	return r.join(clientConfig{name: "a.example", tcp: tcp, from: Listener{Profiles: []string{"draft04"}}})
}

// The older dialect has no cuid: the client is its credential. A known mitigation may change there.
func TestOlderDialectAsk(t *testing.T) {
	inRig(t, bothDialects, func(r *rig) {
		c := r.olderClient(false)
		if got := code(c.do(older(putCode, pathSignal, bodyOlderPut))); got != "2.01" {
			t.Fatal(got)
		}
		cuid := dots.Credential{SPKI: []byte("key of a.example")}.CUID()
		want := dots.Ask{
			Client: dots.Client{Name: "a", CUID: cuid}, HopLimit: 15, Update: true, OwnCUID: cuid,
			Request: dots.Request{
				MID: 1, Lifetime: dots.Some[dots.Lifetime](3600), Target: dots.Target{Prefixes: target.Prefixes, Protocols: []uint8{6}},
			},
		}
		if diff := cmp.Diff(want, r.core.lastAsk(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Error(diff)
		}
		c.do(older(deleteCode, pathSignal, bodyOlderID))
		c.do(older(getCode, pathSignal, bodyOlderID))
		key := dots.MitigationKey{Client: want.Client, MID: 1}
		if r.core.withdrawn[0] != key || r.core.asked[0] != key {
			t.Errorf("withdrawn %v, asked %v; want %v", r.core.withdrawn, r.core.asked, key)
		}
	})
}

// What a session may speak is said by its listener.
func TestDialectsPerSession(t *testing.T) {
	newer, olderGet := request(getCode, pathConfig, ""), older(getCode, pathOlderCfg, "")
	for _, tt := range []struct {
		name             string
		profiles         []string
		newer, olderCode string
	}{
		{"default", nil, "2.05", "4.04 no such resource"},
		{"older", []string{"draft04"}, "4.04 no such resource", "2.05"},
		{"both", []string{"draft04", "rfc9132"}, "2.05", "2.05"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, bothDialects, func(r *rig) {
				c := r.join(clientConfig{name: "a.example", from: Listener{Profiles: tt.profiles}})
				if got := code(c.do(newer)); got != tt.newer {
					t.Errorf("rfc9132: %s; want %s", got, tt.newer)
				}
				if got := code(c.do(olderGet)); got != tt.olderCode {
					t.Errorf("draft04: %s; want %s", got, tt.olderCode)
				}
			})
		})
	}
}

// Refusals in the older dialect's codes.
func TestOlderDialectRefusals(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  *dots.Error
		want string
	}{
		{"conflict", &dots.Error{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{Cause: 1})}, "4.00 conflict: overlapping targets"},
		{"unavailable", dots.Refuse(dots.CodeUnavailable, "busy"), "5.03 busy"},
		{
			"redirection", &dots.Error{Code: dots.CodeUnavailable, Redirect: dots.Some(dots.Redirect{Server: "alt.example"})},
			"3.00",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inRig(t, bothDialects, func(r *rig) {
				r.core.set(func(c *fakeCore) { c.err = tt.err })
				if got := code(r.olderClient(false).do(older(putCode, pathSignal, bodyOlderPut))); got != tt.want {
					t.Errorf("%s; want %s", got, tt.want)
				}
			})
		})
	}
}

// A session-wide trigger-mitigation of false arms every mitigation of the session, in no other session.
func TestOlderDialectTriggerMitigation(t *testing.T) {
	inRig(t, bothDialects, func(r *rig) {
		c, other := r.olderClient(false), r.olderClient(false)
		// {14: {26: 1, 15: 60, 27: false}}
		if got := code(c.do(older(putCode, pathOlderCfg, "a10ea3181a010f183c181bf4"))); got != "2.01" {
			t.Fatal(got)
		}
		c.do(older(putCode, pathSignal, bodyOlderPut))
		if !r.core.lastAsk().Request.OnSignalLoss {
			t.Error("not armed")
		}
		other.do(older(putCode, pathSignal, bodyOlderPut))
		if r.core.lastAsk().Request.OnSignalLoss {
			t.Error("armed in another session")
		}
	})
}

// draft-ietf-dots-signal-channel-04, Section 5.4.3: a DELETE of a configuration that is not there is 4.04, where
// RFC 9132, Section 4.5.4 has 2.02 for it.
func TestDialectsOfDeletingAConfiguration(t *testing.T) {
	inRig(t, bothDialects, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", from: Listener{Profiles: []string{"draft04", "rfc9132"}}})
		const one, two = "a10ea1181a01", "a10ea1181a02" // {14: {26: 1}}
		for _, step := range []struct {
			m    *coap.Message
			want string
		}{
			{older(deleteCode, pathOlderCfg, one), "4.04"},
			{older(putCode, pathOlderCfg, "a10ea2181a010f183c"), "2.01"},
			{older(deleteCode, pathOlderCfg, two), "4.04"},
			{older(deleteCode, pathOlderCfg, one), "2.02"},
			{older(deleteCode, pathOlderCfg, one), "4.04"},
			{request(deleteCode, pathConfig+"/sid=1", ""), "2.02"},
			{request(deleteCode, pathConfig, ""), "2.02"},
		} {
			if got := c.do(step.m); got == nil || got.Code.String() != step.want {
				t.Errorf("%x: %s; want %s", step.m.Payload, code(got), step.want)
			}
		}
	})
}

// The older dialect has no status 6: its observers are told 4.04 then, and that ends it.
func TestOlderDialectObservation(t *testing.T) {
	inRig(t, bothDialects, func(r *rig) {
		report := dots.Report{MID: 1, Target: target, Lifetime: 1000, Status: dots.StatusMitigated}
		r.core.report(report)
		c := r.olderClient(false)
		w := c.observe(pathSignal)
		key := dots.MitigationKey{Client: dots.Client{Name: "a", CUID: dots.Credential{SPKI: []byte("key of a.example")}.CUID()}, MID: 1}
		r.wait(10 * time.Second)
		report.Status = dots.StatusTerminated
		r.core.report(report)
		r.srv.Changed(key)
		synctest.Wait()
		if len(w.told) != 2 || w.told[1] != "10 4.04" {
			t.Errorf("told %q; want 4.04 at 10 s", w.told)
		}
		if n := r.srv.watchers.count("a"); n != 0 {
			t.Errorf("%d observers; want none", n)
		}
	})
}

// Heartbeats in the older dialect are CoAP's own pings, and its peer is lost like any other.
func TestOlderDialectHeartbeats(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		inRig(t, bothDialects, func(r *rig) {
			c := r.olderClient(tcp)
			r.wait(30 * time.Minute)
			if len(r.srv.Sessions()) != 1 || r.meter.missed != 0 || len(c.heartbeats()) != 0 {
				t.Fatalf("TCP %v: %d sessions, %d missed, requests %v", tcp, len(r.srv.Sessions()), r.meter.missed, c.heartbeats())
			}
			c.mute(true)
			r.wait(30 * time.Minute)
			if len(r.srv.Sessions()) != 0 || r.meter.missed == 0 {
				t.Errorf("TCP %v: %d sessions, %d missed after silence", tcp, len(r.srv.Sessions()), r.meter.missed)
			}
			if diff := cmp.Diff([]string{"back a", "lost a"}, r.core.presences()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// On a session that may speak both, the heartbeat follows what the peer spoke last.
func TestHeartbeatFollowsDialect(t *testing.T) {
	inRig(t, bothDialects, func(r *rig) {
		c := r.join(clientConfig{name: "a.example", from: Listener{Profiles: []string{"rfc9132", "draft04"}}, handler: answerChanged})
		c.do(older(getCode, pathOlderCfg, ""))
		r.wait(10 * time.Second)
		if n := len(c.heartbeats()); n != 0 {
			t.Errorf("%d requests; want pings", n)
		}
		c.do(request(getCode, pathConfig, ""))
		r.wait(30 * time.Second)
		if diff := cmp.Diff([]heard{beat(35*time.Second, bodyHBTrue)}, c.heartbeats(), cmp.AllowUnexported(heard{})); diff != "" {
			t.Error(diff)
		}
	})
}

// The older dialect's flat configuration, step by step: one set of parameters for both times, whose values hold in an attack as well.
// draft-ietf-dots-signal-channel-04, Section 5.4.
func TestOlderDialectConfig(t *testing.T) {
	inRig(t, bothDialects, func(r *rig) {
		c := r.olderClient(false)
		for _, step := range []struct {
			name string
			m    *coap.Message
			want string
		}{
			{"ranges", older(getCode, pathOlderCfg, ""), "2.05"},
			{"nothing installed", older(getCode, pathOlderCfg, "a10ea1181a01"), "4.04"},
			{"no parameter", older(putCode, pathOlderCfg, "a10ea1181a01"), "4.00"},
			{"no session-id", older(putCode, pathOlderCfg, "a10ea10f183c"), "4.00"},
			{"out of range", older(putCode, pathOlderCfg, "a10ea2181a010f01"), "4.22"},
			{"heartbeat-interval 60, max-retransmit 5", older(putCode, pathOlderCfg, "a10ea3181a010f183c1005"), "2.01"},
			{"again", older(putCode, pathOlderCfg, "a10ea3181a010f183c1005"), "2.04"},
			{"installed", older(getCode, pathOlderCfg, "a10ea1181a01"), "2.05"},
			{"a higher one", older(putCode, pathOlderCfg, "a10ea3181a020f183c1006"), "2.01"},
			{"the lower", older(putCode, pathOlderCfg, "a10ea3181a010f183c1007"), "4.00"},
		} {
			got := c.do(step.m)
			if got == nil || got.Code.String() != step.want {
				t.Errorf("%s: %s; want %s", step.name, code(got), step.want)
			}
		}
		for _, on := range []bool{false, true} {
			r.srv.Mitigating("a", on)
			p := r.srv.peer(c.served)
			p.mu.Lock()
			retransmit, interval := c.served.Parameters().MaxRetransmit, p.interval()
			p.mu.Unlock()
			if retransmit != 6 || interval != time.Minute {
				t.Errorf("active %v: %d retransmissions, a heartbeat each %v; want 6, a minute", on, retransmit, interval)
			}
		}
	})
}

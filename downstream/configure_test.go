package downstream

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// putIdle is the body {30: {44: parameters}}, the parameters given in hex.
func putIdle(parameters string) string { return "a1181ea1182c" + parameters }

// RFC 9132, Section 4.5: the life of a configuration on one session, step by step.
func TestConfigResource(t *testing.T) {
	const sixty = "a11821a11824183c" // heartbeat-interval 60
	steps := []struct {
		name    string
		request *coap.Message
		want    string
	}{
		{"nothing installed", request(getCode, pathConfig+"/sid=1", ""), "4.04 no such sid"},
		{"defaults", request(getCode, pathConfig, ""), "2.05"},
		{"first", request(putCode, pathConfig+"/sid=5", putIdle(sixty)), "2.01"},
		{"again", request(putCode, pathConfig+"/sid=5", putIdle(sixty)), "2.04"},
		{"installed", request(getCode, pathConfig+"/sid=5", ""), "2.05"},
		{"another sid", request(getCode, pathConfig+"/sid=4", ""), "4.04 no such sid"},
		{"lower", request(putCode, pathConfig+"/sid=4", putIdle(sixty)), "4.00 sid is below the installed one"},
		{"higher", request(putCode, pathConfig+"/sid=6", putIdle(sixty)), "2.01"},
		{"the lower is gone", request(getCode, pathConfig+"/sid=5", ""), "4.04 no such sid"},
		{"out of range", request(putCode, pathConfig+"/sid=7", putIdle("a11821a1182401")), "4.22 heartbeat-interval out of range"},
		{"the refused one is not installed", request(getCode, pathConfig+"/sid=7", ""), "4.04 no such sid"},
		{"removed", request(deleteCode, pathConfig+"/sid=6", ""), "2.02"},
		{"removed again", request(deleteCode, pathConfig+"/sid=6", ""), "2.02"},
		{"gone", request(getCode, pathConfig+"/sid=6", ""), "4.04 no such sid"},
		{"removed at boot", request(deleteCode, pathConfig, ""), "2.02"},
		{"a lower one after the removal", request(putCode, pathConfig+"/sid=1", putIdle(sixty)), "2.01"},
	}
	inRig(t, nil, func(r *rig) {
		c, other := r.connect("a.example"), r.connect("a.example")
		for _, s := range steps {
			s.request.NonConfirmable = false // RFC 9132, Section 4.5: configuration is exchanged in CON
			got := c.do(s.request)
			if code(got) != s.want {
				t.Errorf("%s: %s; want %s", s.name, code(got), s.want)
			}
			age, fresh := got.Options.Uint(coap.MaxAge)
			if (code(got) == "2.05") != (fresh && age == 3600) {
				t.Errorf("%s: Max-Age %d, %v", s.name, age, fresh)
			}
		}
		// The configuration is the session's, not the client's.
		if got := code(other.do(request(getCode, pathConfig+"/sid=1", ""))); got != "4.04 no such sid" {
			t.Errorf("another session: %s", got)
		}
		if r.core.calls() != 0 {
			t.Error("the core was asked about a configuration")
		}
	})
}

// RFC 9132, Section 4.5.1: what a GET tells.
func TestConfigBodies(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		get := func(path string) dots.SessionConfig {
			t.Helper()
			got := c.do(request(getCode, path, ""))
			resp, err := rfc9132.New().DecodeResponse(wire.Request{Op: wire.GetConfig}, wire.CoAPResponse{
				Code: dots.Code(got.Code), Format: dots.Some[uint16](271), Payload: got.Payload,
			})
			if err != nil {
				t.Fatal(err)
			}
			return resp.Config
		}
		if diff := cmp.Diff(DefaultSession(), get(pathConfig)); diff != "" {
			t.Errorf("defaults: %s", diff)
		}
		// missing-hb-allowed 20, ack-timeout 20.5 with one decimal
		c.do(request(putCode, pathConfig+"/sid=1", putIdle("a21825a11824141827a1182bc4822018cd")))
		want := dots.SessionConfig{Mitigating: defaults(), Idle: defaults()}
		want.Idle.MissingHBAllowed, want.Idle.AckTimeout = current[uint16](20), current[dots.Decimal](2050)
		if diff := cmp.Diff(want, get(pathConfig+"/sid=1")); diff != "" {
			t.Errorf("negotiated: %s", diff)
		}
	})
}

// RFC 9132, Section 4.5: agents use the negotiated values, and the defaults again once those are removed.
func TestConfigIsPutInForce(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		c := r.connect("a.example")
		byDefault := coap.Parameters{
			AckTimeout: 2 * time.Second, AckRandomFactor: 1.5, MaxRetransmit: 3, ProbingRate: 5, RepeatInterval: neverRepeat,
		}
		if diff := cmp.Diff(byDefault, c.served.Parameters()); diff != "" {
			t.Errorf("at first: %s", diff)
		}
		// max-retransmit 7, ack-timeout 1.25, ack-random-factor 2.00, probing-rate 9
		body := putIdle("a41826a11824071827a1182bc48221187d1828a1182bc4822118c81832a1182409")
		if got := code(c.do(request(putCode, pathConfig+"/sid=1", body))); got != "2.01" {
			t.Fatal(got)
		}
		want := byDefault
		want.MaxRetransmit, want.AckTimeout, want.AckRandomFactor, want.ProbingRate = 7, 1250*time.Millisecond, 2, 9
		if diff := cmp.Diff(want, c.served.Parameters()); diff != "" {
			t.Errorf("negotiated: %s", diff)
		}
		c.do(request(deleteCode, pathConfig, ""))
		if diff := cmp.Diff(byDefault, c.served.Parameters()); diff != "" {
			t.Errorf("removed: %s", diff)
		}
	})
}

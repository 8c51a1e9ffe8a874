package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/policy"
)

// armedClients is how many clients the tests of a restart have.
const armedClients = 1000

// manyArmed is a rig whose policy has so many clients, each with a request that waits for the loss of its sessions.
func manyArmed(t *testing.T) *rig {
	t.Helper()
	p := testPolicyFor(t, func(p *policy.Config) {
		for i := range armedClients {
			p.Domains[0].Clients = append(p.Domains[0].Clients, policy.ClientEntry{
				Name: fmt.Sprintf("c%d", i), CertNames: []string{fmt.Sprintf("c%d.example", i)},
			})
		}
	})
	r := newRig(t, CoreConfig{Policy: p})
	r.step(LinkUp{"up"})
	for i := range armedClients {
		r.step(ClientBack{Client: fmt.Sprintf("c%d", i), Span: DefaultSpan})
		r.run(parseCommand(fmt.Sprintf("put c%d 1 2001:db8::%x/128 armed life=-1", i, i+1)))
	}
	r.lines = nil
	return r
}

// fired counts the mitigations that were triggered, by the log.
func (r *rig) fired() int {
	n := 0
	for _, l := range r.lines {
		if strings.Contains(l, "armed mitigation triggered") {
			n++
		}
	}
	return n
}

// Our own restart with 1,000 armed clients triggers nothing, whether they come back late, come back and go, or need all the time there is. Those who never
// come back are lost in the end (RFC 9132, Section 4.7).
func TestRestartTriggersNothing(t *testing.T) {
	r := manyArmed(t)
	for _, i := range []int{1, 2, 3} { // some were about to be lost when we stopped
		r.step(ClientGone{Client: fmt.Sprintf("c%d", i), In: time.Second})
	}
	r.boot()
	r.step(LinkUp{"up"})
	r.advance(2*DefaultSpan + returnHandshake)
	for i := range armedClients - 100 {
		r.step(ClientBack{Client: fmt.Sprintf("c%d", i), Span: DefaultSpan})
	}
	r.advance(DefaultSpan - time.Second)
	for i := armedClients - 100; i < armedClients-10; i++ {
		r.step(ClientBack{Client: fmt.Sprintf("c%d", i), Span: DefaultSpan})
	}
	if n := r.fired(); n != 0 {
		t.Fatalf("%d armed mitigations were triggered by a restart of ours", n)
	}
	r.advance(24 * time.Hour)
	if n := r.fired(); n != 10 {
		t.Errorf("%d triggered; want those 10 whose clients never came back", n)
	}
	r.check()
}

// Restarts one after another, each before anybody had time to come back, trigger nothing either.
func TestRestartsInARow(t *testing.T) {
	r := manyArmed(t)
	for range 5 {
		r.advance(2 * DefaultSpan)
		r.boot()
	}
	if n := r.fired(); n != 0 {
		t.Fatalf("%d triggered", n)
	}
}

// A span that nobody can mean is bounded, and one that is not known changes nothing.
func TestSpanBounds(t *testing.T) {
	r := newRig(t, CoreConfig{})
	for _, tt := range []struct{ span, want time.Duration }{
		{0, DefaultSpan},
		{-time.Second, DefaultSpan},
		{1500 * time.Millisecond, time.Second},
		{time.Hour, time.Hour},
		{0, time.Hour},
		{1 << 62, maxSpan},
		{DefaultSpan, DefaultSpan},
	} {
		r.step(ClientBack{Client: "a", Span: tt.span})
		if got := r.core.spanOf("a"); got != tt.want {
			t.Errorf("after %v: %v; want %v", tt.span, got, tt.want)
		}
	}
	if len(r.core.spans) != 0 || len(r.disk) != 0 {
		t.Errorf("%d spans and %d records are left; want none", len(r.core.spans), len(r.disk))
	}
	r.damaged = true
	for _, text := range []string{`{"Seconds":0}`, `{"Seconds":-1}`, `{"Seconds":99999999999}`, `{`} {
		r.disk[identity{kindSpan, "a"}] = []byte(text)
		r.boot()
		if got := r.core.spanOf("a"); got != DefaultSpan {
			t.Errorf("%s: %v", text, got)
		}
	}
}

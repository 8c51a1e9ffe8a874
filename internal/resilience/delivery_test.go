package resilience

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/impair"
)

// delivery is a link that loses, and how many requests must have come through it in 30 s: ten sends, each 3 s after the one before
// (RFC 9132, Section 4.4), so 1 - loss^10 of them by arithmetic.
type delivery struct {
	loss   float64 // in each direction
	wanted float64
}

// deliveries are losses, and shares a little below that arithmetic.
func deliveries() []delivery { return []delivery{{0.5, 0.998}, {0.8, 0.885}, {0.9, 0.64}} }

// within is how long a request has.
const within = 30 * time.Second

// pair is two CoAP sessions over a link without DTLS, of which the server notes when a request for a mitigation comes.
type pair struct {
	client, server *coap.Session
	out, back      *impair.Way
	arrived        time.Time
}

// newPair joins two sessions by a link of 40 ms; what is lost follows from the seed.
func newPair(t *testing.T, timers *coap.Timers, seed uint64) *pair {
	path := impair.Conditions{Delay: oneWay}
	a, b := impair.NewPair(seed, path, path)
	p := &pair{out: a.Out(), back: b.Out()}
	session := func(l *impair.Link, h coap.Handler) *coap.Session {
		s, err := coap.NewSession(coap.SessionConfig{Link: l, Timers: timers, Handler: h})
		if err != nil {
			t.Fatal(err)
		}
		l.Receive(s.Input, s.InputClosed)
		return s
	}
	p.client = session(a, nil)
	p.server = session(b, coap.HandlerFunc(func(ex *coap.Exchange) {
		if p.arrived.IsZero() && ex.Request().Options.Path()[0] == "mitigate" {
			p.arrived = time.Now()
		}
		ex.Respond(&coap.Message{Code: coap.Changed})
	}))
	return p
}

// ask sends a NON PUT, and repeats it until it is answered.
func (p *pair) ask(t *testing.T, path string) {
	req := &coap.Message{Code: coap.PUT, NonConfirmable: true, Payload: make([]byte, 100)}
	req.Options.SetPath(path)
	if _, err := p.client.BeginAs(coap.MostUrgent, req, func(*coap.Message, error) {}); err != nil {
		t.Fatal(err)
	}
}

// play lets sessions ask once each over links that lose, from when they know their round-trip time, and counts what came in time.
func (d delivery) play(t *testing.T, seed uint64, sessions int) (delivered int) {
	synctest.Test(t, func(t *testing.T) {
		timers := coap.NewTimers()
		go func() { _ = timers.Run(t.Context()) }()
		pairs := make([]*pair, sessions)
		for i := range pairs {
			pairs[i] = newPair(t, timers, seed<<16+uint64(i))
			pairs[i].ask(t, "hb")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, p := range pairs {
			if rtt, known := p.client.RTT(); !known || rtt != 2*oneWay {
				t.Fatalf("the round-trip time is %v, known: %v", rtt, known)
			}
			bad := impair.Conditions{Delay: oneWay, Loss: d.loss}
			p.out.Set(bad)
			p.back.Set(bad)
		}
		begin := time.Now()
		for _, p := range pairs {
			p.ask(t, "mitigate")
		}
		time.Sleep(within + time.Second)
		synctest.Wait()
		for _, p := range pairs {
			if !p.arrived.IsZero() && p.arrived.Sub(begin) <= within {
				delivered++
			}
			_, _ = p.client.Close(), p.server.Close()
		}
		time.Sleep(time.Second)
		synctest.Wait()
	})
	return delivered
}

// share plays runs in batches and returns the share that was delivered.
func (d delivery) share(t *testing.T, runs int) float64 {
	const batch = 500
	played, delivered := 0, 0
	for seed := uint64(1); played < runs; seed++ {
		n := min(batch, runs-played)
		played, delivered = played+n, delivered+d.play(t, seed, n)
	}
	return float64(delivered) / float64(played)
}

// TestDelivery is a small part of the row, with bounds that are six standard deviations away.
func TestDelivery(t *testing.T) {
	for _, tt := range []struct {
		delivery
		atLeast, atMost float64
	}{
		{delivery{0.5, 0}, 0.99, 1},
		{delivery{0.8, 0}, 0.84, 0.95},
		{delivery{0.9, 0}, 0.57, 0.74},
		{delivery{0, 0}, 1, 1},
		{delivery{1, 0}, 0, 0},
	} {
		if got := tt.share(t, 1000); got < tt.atLeast || got > tt.atMost {
			t.Errorf("%.0f %% loss: %.1f %% delivered within %v", 100*tt.loss, 100*got, within)
		}
	}
}

// deliveryRow is the whole of it.
func deliveryRow(t *testing.T) {
	for _, d := range deliveries() {
		got := d.share(t, counts.sends.get(t))
		must(t, got >= d.wanted, "one hop, %.0f %% loss each way, RTT 40 ms: %.2f %% of %d requests at the server within %.0f s (at least %.1f %%)",
			100*d.loss, 100*got, counts.sends.get(t), within.Seconds(), 100*d.wanted)
	}
}

package upstream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// oneSession is long enough without answers that no second session is tried, which would have a pace of its own.
func oneSession(c *Config) { c.MissingAllowed = 1000 }

// paced is a world whose server answers no request, and hears all of them.
func paced(t *testing.T, play func(w *world)) {
	virtual(t, oneSession, func(w *world) {
		w.answer = func(wire.Request) (wire.Response, bool) { return wire.Response{}, false }
		play(w)
	})
}

// counted is how often each request has reached the server, heartbeats left out.
func (w *world) counted() map[string]int {
	n := map[string]int{}
	for _, m := range w.log() {
		if !strings.HasPrefix(m.What, "HB") {
			n[m.What]++
		}
	}
	return n
}

// RFC 9132, Section 4.4 and 7.3: a hundred mitigations that nobody answers for go out at one datagram each 3 s all in all, as long as nothing was ever
// answered, each of them in its turn; one that comes to be wanted goes before all of them.
func TestAHundredUnanswered(t *testing.T) {
	paced(t, func(w *world) {
		w.run()
		var legs []dots.Leg
		for mid := range uint32(100) {
			legs = append(legs, putLeg(mid, 1))
		}
		w.want(legs...)
		w.sleep(20 * time.Minute)
		n := w.counted()
		sum := 0
		for mid := range uint32(100) {
			k := n[fmt.Sprintf("PUT %d", mid)]
			if sum += k; k < 3 || k > 5 {
				t.Errorf("PUT %d was sent %d times", mid, k)
			}
		}
		if all := len(w.log()); all > 400+8 || sum < 300 {
			t.Errorf("%d datagrams in 20 min, %d of them requests of mitigations; 400 are allowed", all, sum)
		}
		begin := time.Since(w.start)
		w.set(func() { w.asked = nil })
		w.want(putLeg(200, 1))
		w.sleep(3 * time.Second)
		if got := w.log(); len(got) == 0 || got[0].What != "PUT 200" || got[0].At != begin {
			t.Errorf("after a new mitigation asked %v", got)
		}
	})
}

// What stands has a turn beside one new mitigation that goes unanswered; retrievals have none while either waits.
func TestRefreshesHaveTheirTurn(t *testing.T) {
	virtual(t, oneSession, func(w *world) {
		w.run()
		var standing, refresh []dots.Leg
		for mid := range uint32(10) {
			standing, refresh = append(standing, putLeg(mid, 1)), append(refresh, putLeg(mid, 2))
		}
		w.want(standing...)
		w.sleep(time.Second)
		w.set(func() { w.answer = func(wire.Request) (wire.Response, bool) { return wire.Response{}, false } })
		w.sleep(10 * time.Minute) // what was measured counts for nothing by now
		w.set(func() { w.asked = nil })
		w.want(append(refresh, putLeg(100, 1))...)
		w.sleep(10 * time.Minute)
		n := w.counted()
		first, rest := n["PUT 100"], 0
		for mid := range uint32(10) {
			k := n[fmt.Sprintf("PUT %d", mid)]
			if rest += k; k < 3 {
				t.Errorf("the refresh of %d was sent %d times", mid, k)
			}
		}
		if first+rest > 208 || first < 110 {
			t.Errorf("a new mitigation was sent %d times, refreshes %d times; 200 are allowed", first, rest)
		}
	})
}

// A session on which answers come back goes by its round-trip time: many mitigations are placed one after the other, as fast as that allows.
func TestPlacedByRoundTrips(t *testing.T) {
	virtual(t, nil, func(w *world) {
		const rtt = 40 * time.Millisecond
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			resp, _ := w.serve(r)
			time.AfterFunc(rtt, func() { ex.Respond(encode(w.profile, r, resp)) })
			return true
		}
		w.run()
		var legs []dots.Leg
		for mid := range uint32(150) {
			legs = append(legs, putLeg(mid, 1))
		}
		w.want(legs...)
		w.sleep(8 * time.Second)
		if i := w.manager.Links()[0]; i.Legs[LegPlaced] != 150 {
			t.Errorf("of 150 mitigations %d are placed after 8 s", i.Legs[LegPlaced])
		}
		sent := w.datagrams()
		for i := range sent {
			for j := i; j < len(sent); j++ {
				if most := 7 + int((sent[j].At-sent[i].At)/rtt); j-i+1 > most {
					t.Fatalf("%d datagrams from %v to %v", j-i+1, sent[i].At, sent[j].At)
				}
			}
		}
	})
}

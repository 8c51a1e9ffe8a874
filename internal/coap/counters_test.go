package coap

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What happens is what is counted, and nothing else.
func TestCounting(t *testing.T) {
	request := udp(con, PUT, 1, "t", "x")
	for name, tc := range map[string]struct {
		reliable bool
		act      func(r *rig)
		want     CounterValues
	}{
		"a request":   {false, func(r *rig) { r.Input(request) }, CounterValues{RecordsIn: 1, RecordsOut: 1}},
		"a duplicate": {false, func(r *rig) { r.Input(request); r.Input(request) }, CounterValues{RecordsIn: 2, RecordsOut: 2, Duplicates: 1}},
		"one more than is remembered": {false, func(r *rig) {
			r.Input(request)
			r.Input(udp(con, PUT, 2, "u", "x"))
			r.Input(udp(con, PUT, 3, "v", "x"))
		}, CounterValues{
			RecordsIn: 3, RecordsOut: 3, Forgotten: 1,
		}},
		"a ping":    {false, func(r *rig) { r.Input(udp(con, Empty, 1, "", "")) }, CounterValues{RecordsIn: 1, RecordsOut: 1, ResetsOut: 1}},
		"no header": {false, func(r *rig) { r.Input([]byte{1}) }, CounterValues{RecordsIn: 1, Malformed: 1}},
		"a malformed CON": {false, func(r *rig) { r.Input(append(udp(con, GET, 1, "", ""), 0xff)) }, CounterValues{
			RecordsIn: 1, RecordsOut: 1, Malformed: 1, ResetsOut: 1,
		}},
		"a malformed NON": {false, func(r *rig) { r.Input(append(udp(non, GET, 1, "", ""), 0xff)) }, CounterValues{RecordsIn: 1, Malformed: 1}},
		"a bad option of a NON": {false, func(r *rig) { r.Input(udp(non, GET, 1, "", "", opt(9, ""))) }, CounterValues{
			RecordsIn: 1, BadOptions: 1,
		}},
		"a bad option of a CON": {false, func(r *rig) { r.Input(udp(con, GET, 1, "", "", opt(9, ""))) }, CounterValues{
			RecordsIn: 1, RecordsOut: 1, BadOptions: 1,
		}},
		"an unexpected response": {false, func(r *rig) { r.Input(udp(non, Content, 1, "abcd", "")) }, CounterValues{RecordsIn: 1, Unexpected: 1}},
		"a reset":                {false, func(r *rig) { r.Input(udp(rst, Empty, 1, "", "")) }, CounterValues{RecordsIn: 1, ResetsIn: 1}},
		"an unanswered request": {false, func(r *rig) { _, _ = r.Do(r.t.Context(), get("a")) }, CounterValues{
			RecordsOut: 4, Retransmissions: 3, Timeouts: 1,
		}},
		"a panic": {false, func(r *rig) { r.Input(udp(non, PUT, 1, "t", "panic")) }, CounterValues{RecordsIn: 1, Panics: 1}},
		"a refused request": {false, func(r *rig) {
			r.Input(udp(non, PUT, 1, "a", "wait"))
			r.Input(udp(non, PUT, 2, "b", "wait"))
		}, CounterValues{RecordsIn: 2, RecordsOut: 1, Refused: 1}},
		"a stream":        {true, func(r *rig) { r.Input(append(tcp(codeCSM, "", ""), tcp(PUT, "t", "x")...)) }, CounterValues{RecordsIn: 2, RecordsOut: 2}},
		"half a message":  {true, func(r *rig) { r.Input(tcp(codeCSM, "", "")[:1]) }, CounterValues{RecordsOut: 1}},
		"a framing error": {true, func(r *rig) { r.Input([]byte{0x0f}) }, CounterValues{RecordsOut: 2, Malformed: 1, Aborts: 1}},
		"silence":         {true, func(*rig) { time.Sleep(time.Minute) }, CounterValues{RecordsOut: 2, Aborts: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, tc.reliable, SessionConfig{Limits: Limits{MaxExchanges: 1, MaxRemembered: 2}, Handler: HandlerFunc(func(ex *Exchange) {
					switch string(ex.Request().Payload) {
					case "panic":
						panic("on purpose")
					case "wait":
					default:
						echoHandler(ex)
					}
				})})
				tc.act(r)
				synctest.Wait()
				if diff := cmp.Diff(tc.want, r.counters.Values()); diff != "" {
					t.Fatal(diff)
				}
			})
		})
	}
}

// Sessions that are given the same counters count together.
func TestCountersAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := new(Counters)
		for i := range 3 {
			r := newRig(t, false, SessionConfig{Counters: shared})
			r.Input(udp(con, Empty, uint16(i), "", ""))
			r.want(udp(rst, Empty, uint16(i), "", ""))
		}
		if got := shared.Values(); got.RecordsIn != 3 || got.ResetsOut != 3 {
			t.Fatalf("%+v", got)
		}
	})
}

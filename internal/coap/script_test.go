package coap

import (
	"testing"
	"testing/synctest"
	"time"
)

// scene is a rig with a handler that keeps its exchanges, played by a script.
type scene struct {
	*rig
	held *held
}

// line is one step of a script: at a time since the start, something comes in or is done, and exactly out goes out.
type line struct {
	at  time.Duration
	in  []byte
	do  func(sc *scene)
	out [][]byte
}

// answer lets the handler answer its i-th request.
func answer(i int, m *Message) func(sc *scene) {
	return func(sc *scene) { sc.held.all[i].Respond(m) }
}

func out(records ...[]byte) [][]byte { return records }

// play runs a script in virtual time; between its lines nothing may be sent.
func play(t *testing.T, cfg SessionConfig, lines []line) {
	synctest.Test(t, func(t *testing.T) {
		h := new(held)
		cfg.Handler = h
		cfg.Rand = fixedRand(0) // the first wait is ACK_TIMEOUT, ids and tokens count from 1
		sc := &scene{newRig(t, false, cfg), h}
		start := time.Now()
		for i, l := range lines {
			if wait := l.at - time.Since(start); wait > 0 {
				time.Sleep(wait - time.Nanosecond)
				synctest.Wait()
				sc.want()
				time.Sleep(time.Nanosecond)
				synctest.Wait()
			}
			if l.in != nil {
				sc.Input(l.in)
			}
			if l.do != nil {
				l.do(sc)
			}
			synctest.Wait()
			t.Log("line", i)
			sc.want(l.out...)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		sc.want()
		if len(sc.cons)+len(sc.exchanges) != 0 || len(sc.timers.heap) != 0 {
			t.Fatalf("left: %d CON, %d exchanges, %d timers", len(sc.cons), len(sc.exchanges), len(sc.timers.heap))
		}
	})
}

// RFC 7252, Section 4.2, Section 4.5 and Section 5.2.2.
func TestSeparateResponseScripts(t *testing.T) {
	ok := &Message{Code: Changed, Payload: []byte("ok")}
	request := udp(con, PUT, 900, "t", "x")
	emptyAck := udp(ack, Empty, 900, "", "")
	response := udp(con, Changed, 1, "t", "ok")
	ms, sec := time.Millisecond, time.Second
	for name, lines := range map[string][]line{
		"acknowledged at once": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: sec, in: udp(ack, Empty, 1, "", "")},
		},
		"acknowledged after two retransmissions": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: 3 * sec, out: out(response)},
			{at: 7 * sec, out: out(response)},
			{at: 8 * sec, in: udp(ack, Empty, 1, "", "")},
		},
		"never acknowledged": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: 3 * sec, out: out(response)},
			{at: 7 * sec, out: out(response)},
			{at: 15 * sec, out: out(response)},
		},
		"rejected": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: 2 * sec, in: udp(rst, Empty, 1, "", "")},
		},
		"acknowledged twice": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: sec, in: udp(ack, Empty, 1, "", "")},
			{at: sec, in: udp(ack, Empty, 1, "", "")},
			{at: sec, in: udp(rst, Empty, 1, "", "")},
		},
		"request repeated at every stage": {
			{in: request},
			{at: 100 * ms, in: request}, // the answer may still come: silence
			{at: 200 * ms, out: out(emptyAck)},
			{at: 300 * ms, in: request, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: sec, in: request, out: out(emptyAck)},
			{at: sec, in: udp(ack, Empty, 1, "", "")},
			{at: 200 * sec, in: request, out: out(emptyAck)},
			// EXCHANGE_LIFETIME is over: a new request
			{at: 223 * sec, in: request},
			{at: 223 * sec, do: answer(1, ok), out: out(udp(ack, Changed, 900, "t", "ok"))},
		},
		"piggybacked at the last moment": {
			{in: request},
			{at: 200*ms - 1, do: answer(0, ok), out: out(udp(ack, Changed, 900, "t", "ok"))},
			{at: sec, in: request, out: out(udp(ack, Changed, 900, "t", "ok"))},
		},
		"answered after nobody waits any more": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: 224 * sec, do: answer(0, ok)},
		},
		"an id used again while the first waits": {
			{in: request},
			{in: udp(con, PUT, 900, "u", "y")},
			{at: 100 * ms, do: answer(1, ok), out: out(udp(ack, Changed, 900, "u", "ok"))},
			{at: 100 * ms, in: udp(con, PUT, 900, "u", "y"), out: out(udp(ack, Changed, 900, "u", "ok"))},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: answer(0, ok), out: out(response)},
			{at: sec, in: udp(ack, Empty, 1, "", "")},
		},
		"answers out of order": {
			{in: udp(con, PUT, 1, "a", "")},
			{in: udp(non, PUT, 2, "b", "")},
			{in: udp(con, PUT, 3, "c", "")},
			{do: answer(2, ok), out: out(udp(ack, Changed, 3, "c", "ok"))},
			{do: answer(1, ok), out: out(udp(non, Changed, 1, "b", "ok"))},
			{do: answer(0, ok), out: out(udp(ack, Changed, 1, "a", "ok"))},
		},
		"silence after the acknowledgement": {
			{in: request},
			{at: 200 * ms, out: out(emptyAck)},
			{at: sec, do: func(sc *scene) { sc.held.last().Silence() }},
			{at: sec, in: request, out: out(emptyAck)},
		},
	} {
		t.Run(name, func(t *testing.T) { play(t, SessionConfig{}, lines) })
	}
}

// RFC 9132, Section 4.5: negotiated parameters hold for what is sent from then on.
func TestParametersScript(t *testing.T) {
	ok := &Message{Code: Changed}
	ms, sec := time.Millisecond, time.Second
	first, second := udp(con, Changed, 1, "a", ""), udp(con, Changed, 2, "b", "")
	play(t, SessionConfig{Parameters: Parameters{AckTimeout: 4 * sec, MaxRetransmit: 1}}, []line{
		{in: udp(con, PUT, 900, "a", "")},
		{at: 200 * ms, out: out(udp(ack, Empty, 900, "", ""))},
		{at: sec, do: answer(0, ok), out: out(first)},
		{at: sec, do: func(sc *scene) { sc.SetParameters(Parameters{AckTimeout: 400 * ms, MaxRetransmit: 2}) }},
		{at: 2 * sec, in: udp(con, PUT, 901, "b", "")},
		{at: 2100 * ms, out: out(udp(ack, Empty, 901, "", ""))},
		{at: 3 * sec, do: answer(1, ok), out: out(second)},
		{at: 3400 * ms, out: out(second)},
		{at: 4200 * ms, out: out(second)},
		{at: 5 * sec, out: out(first)}, // still by the old ones
	})
}

// RFC 7641, Section 4.1: an observation among other requests of the session.
func TestObserveScript(t *testing.T) {
	var o *Observer
	sec := time.Second
	register := udp(con, GET, 900, "o", "", num(Observe, 0))
	first := udp(ack, Content, 900, "o", "0", num(Observe, 1))
	play(t, SessionConfig{}, []line{
		{in: register},
		{do: func(sc *scene) { o = sc.held.last().Observe(state("0"), nil) }, out: out(first)},
		{at: sec, in: register, out: out(first)}, // a duplicate registers nobody twice
		{at: 2 * sec, do: func(*scene) { o.Notify(state("1")) }, out: out(udp(non, Content, 1, "o", "1", num(Observe, 2)))},
		{at: 3 * sec, do: func(*scene) { o.Notify(state("2")) }},
		{at: 4 * sec, in: udp(con, PUT, 901, "p", "")},
		{at: 4 * sec, do: answer(1, &Message{Code: Changed}), out: out(udp(ack, Changed, 901, "p", ""))},
		{at: 5 * sec, out: out(udp(non, Content, 2, "o", "2", num(Observe, 3)))},
		{at: 6 * sec, in: udp(con, GET, 902, "x", "", num(Observe, 1))}, // of nothing: a plain GET
		{at: 6 * sec, do: answer(2, state("3")), out: out(udp(ack, Content, 902, "x", "3"))},
		{at: 9 * sec, do: func(*scene) { o.Notify(state("4")) }, out: out(udp(non, Content, 3, "o", "4", num(Observe, 4)))},
		{at: 9 * sec, in: udp(rst, Empty, 3, "", "")},
		{at: 20 * sec, do: func(*scene) { o.Notify(state("5")) }},
	})
}

// RFC 7959, Section 2.5: a body in blocks among other requests, from a peer with a new token for each block, whose
// blocks are repeated and whose last block is answered late.
func TestBlock1Script(t *testing.T) {
	part := string(pattern(16))
	path := opt(UriPath, "a")
	ms := time.Millisecond
	b1 := func(n uint32, more bool) Option { return num(Block1, block{num: n, more: more}.value()) }
	first := udp(con, PUT, 1, "1", part, path, b1(0, true))
	last := udp(con, PUT, 4, "4", "end", path, b1(2, false))
	play(t, SessionConfig{}, []line{
		{in: first, out: out(udp(ack, Continue, 1, "1", "", b1(0, true)))},
		{in: first, out: out(udp(ack, Continue, 1, "1", "", b1(0, true)))},
		{in: udp(con, PUT, 2, "2", "whole", path)},
		{do: answer(0, &Message{Code: Changed}), out: out(udp(ack, Changed, 2, "2", ""))},
		{in: udp(con, PUT, 3, "3", part, path, b1(1, true)), out: out(udp(ack, Continue, 3, "3", "", b1(1, true)))},
		{in: last},
		{at: 200 * ms, out: out(udp(ack, Empty, 4, "", ""))},
		{at: 200 * ms, in: last, out: out(udp(ack, Empty, 4, "", ""))},
		{at: 300 * ms, do: func(sc *scene) {
			if got := string(sc.held.all[1].Request().Payload); got != part+part+"end" || len(sc.held.all) != 2 {
				sc.t.Fatalf("%d requests, body %q", len(sc.held.all), got)
			}
			sc.held.all[1].Respond(&Message{Code: Created})
		}, out: out(udp(con, Created, 1, "4", "", b1(2, false)))},
		{at: 300 * ms, in: udp(ack, Empty, 1, "", "")},
	})
}

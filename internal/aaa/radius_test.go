package aaa

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"layeh.com/radius"
)

// accept and reject are servers that know the secret.
func accept(q []byte) [][]byte { return [][]byte{reply(q, radius.CodeAccessAccept)} }

func reject(q []byte) [][]byte { return [][]byte{reply(q, radius.CodeAccessReject, text(18, "no"))} }

// radiusRig is a client of servers "a:1812", "b:1812" ... in virtual time.
type radiusRig struct {
	*radiusClient
	t     *testing.T
	net   *fakeNet
	meter *countingMeter
}

// withServers runs a test with a client of as many servers as there are answers; nil is a silent one.
func withServers(t *testing.T, test func(*radiusRig), answers ...func([]byte) [][]byte) {
	t.Helper()
	file := secretFile(t, secret+"\n")
	synctest.Test(t, func(t *testing.T) {
		r := &radiusRig{t: t, net: newFakeNet(), meter: newMeter()}
		cfg := RADIUSConfig{NodeID: "gate-1", dial: r.net.dial}
		for i, answer := range answers {
			address := string(rune('a'+i)) + ":1812"
			r.net.serve(address, answer)
			cfg.Servers = append(cfg.Servers, RADIUSServer{Address: address, SecretFile: file})
		}
		var err error
		if r.radiusClient, err = newRADIUS(cfg, r.meter); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.run(ctx) })
		synctest.Wait()
		test(r)
		cancel()
		running.Wait()
	})
}

// expect asks and checks the decision and how long it took.
func (r *radiusRig) expect(want Decision, took time.Duration) {
	r.t.Helper()
	start := time.Now()
	got, err := r.ask(r.t.Context(), request())
	if err != nil || got != want || time.Since(start) != took {
		r.t.Errorf("ask() = %+v, %v after %v, want %+v after %v", got, err, time.Since(start), want, took)
	}
	synctest.Wait()
}

// silence asks and checks that there is no answer.
func (r *radiusRig) silence(took time.Duration) {
	r.t.Helper()
	start := time.Now()
	if got, err := r.ask(r.t.Context(), request()); err == nil || time.Since(start) != took {
		r.t.Errorf("ask() = %+v, %v after %v, want silence for %v", got, err, time.Since(start), took)
	}
	synctest.Wait()
}

func TestRADIUSAnswers(t *testing.T) {
	withServers(t, func(r *radiusRig) { r.expect(Decision{Allow: true}, 0) }, accept)
	withServers(t, func(r *radiusRig) { r.expect(Decision{Reason: "no"}, 0) }, reject)
}

// A silent server gets the same packet three times, a second apart, so that it can tell a repeat from a new question.
func TestRADIUSRepeats(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		start := time.Now()
		r.silence(3 * time.Second)
		sent := r.net.packets("a:1812")
		if len(sent) != 3 {
			t.Fatalf("%d packets, want 3", len(sent))
		}
		for i, p := range sent {
			if got, want := p.at.Sub(start), time.Duration(i)*time.Second; got != want {
				t.Errorf("try %d after %v, want %v", i, got, want)
			}
			if !bytes.Equal(p.packet, sent[0].packet) {
				t.Errorf("try %d is another packet", i)
			}
		}
	}, nil)
}

func TestRADIUSAnswerToRepeat(t *testing.T) {
	tries := 0
	withServers(t, func(r *radiusRig) { r.expect(Decision{Allow: true}, 2*time.Second) }, func(q []byte) [][]byte {
		if tries++; tries < 3 {
			return nil
		}
		return accept(q)
	})
}

// What is not authentic is dropped and counted; the true answer behind it still counts.
func TestRADIUSDropsForgeries(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		r.expect(Decision{Reason: "no"}, 0)
		want := "[authenticator:2 garbage:3 unauthenticated:1 unexpected:1]"
		if got := r.meter.drops(); got != want {
			t.Errorf("dropped %s, want %s", got, want)
		}
	}, func(q []byte) [][]byte {
		good := reply(q, radius.CodeAccessAccept)
		wrong := slices.Clone(good)
		wrong[headerSize+2] ^= 1
		stranger := slices.Clone(good)
		stranger[1]++ // an identifier that nobody waits for
		turned := reply(q, radius.CodeAccessReject)
		turned[0] = byte(radius.CodeAccessAccept)
		return [][]byte{
			{},
			[]byte("garbage that is longer than a header"), good[:30], wrong, turned, stranger,
			signReply(q, radius.CodeAccessAccept, 0), reject(q)[0],
		}
	})
}

// An answer that comes twice counts once, even when they say different things.
func TestRADIUSAnswersTwice(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		parts, err := r.cfg.questions(request())
		if err != nil {
			r.t.Fatal(err)
		}
		_, p, err := r.servers[0].reserve(parts[0])
		if err != nil {
			r.t.Fatal(err)
		}
		r.servers[0].receive(reject(p.request)[0])
		r.servers[0].receive(accept(p.request)[0])
		if d := <-p.got; d.Allow || len(p.got) != 0 || r.meter.drops() != "[unexpected:1]" {
			r.t.Errorf("got %+v, dropped %s", d, r.meter.drops())
		}
	}, nil)
}

// An answer that comes after its question was given up is not taken for another one's.
func TestRADIUSLateAnswer(t *testing.T) {
	var first []byte
	withServers(t, func(r *radiusRig) {
		r.silence(3 * time.Second)
		time.Sleep(31 * time.Second)
		r.silence(3 * time.Second)
		if got := r.meter.drops(); got != "[unexpected:3]" {
			t.Errorf("dropped %s", got)
		}
	}, func(q []byte) [][]byte {
		if first == nil || first[1] == q[1] {
			first = slices.Clone(q)
			return nil
		}
		return accept(first)
	})
}

// A silent server is asked after all others until its time is over; one that answers is asked first again.
func TestRADIUSFailsOver(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		r.expect(Decision{Reason: "no"}, 3*time.Second)
		if n := len(r.net.packets("a:1812")); n != 3 {
			t.Errorf("the first server got %d packets, want 3", n)
		}
		r.expect(Decision{Reason: "no"}, 0)
		time.Sleep(30*time.Second - time.Nanosecond)
		r.expect(Decision{Reason: "no"}, 0)
		if n := len(r.net.packets("a:1812")); n != 3 {
			t.Errorf("the silent server got %d packets, want 3", n)
		}
		r.net.serve("a:1812", accept)
		time.Sleep(time.Nanosecond)
		r.expect(Decision{Allow: true}, 0)
		r.expect(Decision{Allow: true}, 0)
	}, nil, reject)
}

// When all were silent they are asked all the same, and one answer is enough to be first again.
func TestRADIUSAllSilent(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		r.silence(6 * time.Second)
		r.silence(6 * time.Second)
		r.net.serve("b:1812", accept)
		r.expect(Decision{Allow: true}, 3*time.Second)
		r.expect(Decision{Allow: true}, 0)
		if n := r.net.opens("b:1812"); n != 2 {
			t.Errorf("the socket was opened %d times, want again once: when the server was first silent", n)
		}
	}, nil, nil)
}

// A server whose name cannot be resolved costs no time, and is tried again.
func TestRADIUSNameUnknown(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		r.net.mu.Lock()
		delete(r.net.servers, "b:1812")
		r.net.mu.Unlock()
		r.servers[1].silent(0) // closes the socket
		synctest.Wait()
		r.silence(3 * time.Second)
		r.net.serve("b:1812", accept)
		time.Sleep(5*reopenAfter + time.Nanosecond)
		synctest.Wait()
		r.expect(Decision{Allow: true}, 0)
	}, nil, accept)
}

// The asker's patience ends a question; a server that had time for an answer counts as silent then, another does not.
func TestRADIUSPatience(t *testing.T) {
	for _, tt := range []struct {
		patience time.Duration
		dead     bool
	}{{500 * time.Millisecond, false}, {1500 * time.Millisecond, true}} {
		withServers(t, func(r *radiusRig) {
			ctx, cancel := context.WithTimeout(r.t.Context(), tt.patience)
			defer cancel()
			start := time.Now()
			_, err := r.ask(ctx, request())
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != tt.patience {
				t.Errorf("ask() = %v after %v", err, time.Since(start))
			}
			if got := r.servers[0].dead(time.Now()); got != tt.dead {
				t.Errorf("after %v: dead is %v", tt.patience, got)
			}
			if n := len(r.net.packets("b:1812")); n != 0 {
				t.Errorf("the second server got %d packets", n)
			}
		}, nil, accept)
	}
}

// At most 256 questions are under way to a server, each with an identifier of its own; the next one goes elsewhere.
func TestRADIUSIdentifiers(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		var asking sync.WaitGroup
		parts, err := r.cfg.questions(request())
		if err != nil {
			r.t.Fatal(err)
		}
		for range identifiers {
			asking.Go(func() { _, _ = r.servers[0].exchange(r.t.Context(), parts[0], r.cfg) })
		}
		synctest.Wait()
		seen := make(map[byte]bool)
		for _, p := range r.net.packets("a:1812") {
			seen[p.packet[1]] = true
		}
		if len(seen) != identifiers {
			t.Errorf("%d identifiers, want %d", len(seen), identifiers)
		}
		r.expect(Decision{Allow: true}, 0)
		asking.Wait()
		r.servers[0].mu.Lock()
		left := len(r.servers[0].pending)
		r.servers[0].mu.Unlock()
		if left != 0 {
			t.Errorf("%d identifiers are still taken", left)
		}
	}, nil, accept)
}

// An identifier is used again as late as can be: answers to who had it before are long gone.
func TestRADIUSIdentifiersGoRound(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		for range 2 * identifiers {
			r.expect(Decision{Allow: true}, 0)
		}
		sent := r.net.packets("a:1812")
		for i, p := range sent[1:] {
			if p.packet[1] != sent[i].packet[1]+1 {
				t.Fatalf("identifier %d after %d", p.packet[1], sent[i].packet[1])
			}
		}
	}, accept)
}

// A request in parts is allowed only when every part is.
func TestRADIUSParts(t *testing.T) {
	long := request()
	for i := range 200 {
		long.Targets = append(long.Targets, fmt.Sprintf("2001:db8:%x::/48", i))
	}
	for _, bad := range []string{"", "2001:db8:c7::/48"} { // the last target
		withServers(t, func(r *radiusRig) {
			got, err := r.ask(r.t.Context(), long)
			if err != nil || got.Allow != (bad == "") {
				t.Errorf("without %q: ask() = %+v, %v", bad, got, err)
			}
			if n := len(r.net.packets("a:1812")); n < 3 {
				t.Errorf("%d packets", n)
			}
		}, func(q []byte) [][]byte {
			if bad != "" && bytes.Contains(q, []byte(bad)) {
				return reject(q)
			}
			return accept(q)
		})
	}
	withServers(t, func(r *radiusRig) {
		if got, err := r.ask(r.t.Context(), long); err != nil || got.Allow || len(r.net.packets("a:1812")) != 1 {
			t.Errorf("ask() = %+v, %v after %d packets, want an end with the first refusal", got, err, len(r.net.packets("a:1812")))
		}
	}, reject)
}

// What cannot be said in RADIUS is not allowed, at once and for good.
func TestRADIUSUnspeakable(t *testing.T) {
	withServers(t, func(r *radiusRig) {
		q := request()
		q.Targets = []string{strings.Repeat("x", 300)}
		got, err := r.ask(r.t.Context(), q)
		if err != nil || got.Allow || got.Failed || got.Reason == "" || len(r.net.packets("a:1812")) != 0 {
			t.Errorf("ask() = %+v, %v after %d packets", got, err, len(r.net.packets("a:1812")))
		}
	}, accept)
}

func TestRADIUSConfigFaults(t *testing.T) {
	good := secretFile(t, secret)
	one := func(file string) []RADIUSServer { return []RADIUSServer{{Address: "127.0.0.1:1812", SecretFile: file}} }
	for name, tt := range map[string]struct {
		cfg   RADIUSConfig
		fault string
	}{
		"no server":       {RADIUSConfig{NodeID: "gate-1"}, "a server is required"},
		"no node id":      {RADIUSConfig{Servers: one(good)}, "node id"},
		"a long node id":  {RADIUSConfig{Servers: one(good), NodeID: strings.Repeat("x", 254)}, "node id"},
		"no port":         {RADIUSConfig{Servers: []RADIUSServer{{"127.0.0.1", good}}, NodeID: "gate-1"}, "missing port"},
		"no file":         {RADIUSConfig{Servers: one(good + "x"), NodeID: "gate-1"}, "reading the shared secret"},
		"an empty file":   {RADIUSConfig{Servers: one(secretFile(t, "\n")), NodeID: "gate-1"}, "is empty"},
		"a space behind":  {RADIUSConfig{Servers: one(secretFile(t, "secret \n")), NodeID: "gate-1"}, "ends with a space"},
		"negative tries":  {RADIUSConfig{Servers: one(good), NodeID: "gate-1", Tries: -1}, "negative"},
		"negative second": {RADIUSConfig{Servers: one(good), NodeID: "gate-1", Interval: -1}, "negative"},
	} {
		_, err := newRADIUS(tt.cfg, newMeter())
		if err == nil || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v, want %q", name, err, tt.fault)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// Over a real socket, from New to the answer.
func TestRADIUSOverUDP(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := socket.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = socket.WriteTo(reply(b[:n], radius.CodeAccessAccept), from)
		}
	})
	a, err := New(Config{Wait: time.Minute, RADIUS: &RADIUSConfig{
		NodeID: "gate-1", Servers: []RADIUSServer{{socket.LocalAddr().String(), secretFile(t, secret)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) })
	got := Decision{Failed: true}
	for got.Failed { // until the socket is open
		got = a.Authorize(ctx, request())
	}
	if !got.Allow {
		t.Errorf("Authorize() = %+v", got)
	}
	cancel()
	running.Wait()
	if err := socket.Close(); err != nil {
		t.Error(err)
	}
	serving.Wait()
}

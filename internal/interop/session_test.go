//go:build interop

package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// configuring is the body of a session configuration with a heartbeat interval while idle.
func configuring(t *testing.T, interval int) []byte {
	t.Helper()
	return marshal(t, map[int]any{keySignalConfig: map[int]any{keyIdle: map[int]any{keyInterval: map[int]any{keyCurrent: interval}}}})
}

// A foreign client asks for, sets and resets the parameters of its session. RFC 9132, Section 4.5. Each run of coap-client is
// a session of its own, so what one sets is gone with it.
func TestInteropSessionConfig(t *testing.T) {
	eachClient(t, setup{}, func(t *testing.T, c *client) {
		answer := c.ask("config").expect(t, "GET", "2.05")
		var body map[uint64]map[uint64]map[uint64]any
		if err := cbor.Unmarshal(answer.payload, &body); err != nil {
			t.Errorf("GET: the body %x: %v", answer.payload, err)
		}
		for _, set := range []uint64{keyMitigating, keyIdle} {
			if _, ok := body[keySignalConfig][set][keyInterval]; !ok {
				t.Errorf("GET: no heartbeat-interval in set %d of %x", set, answer.payload)
			}
		}
		// RFC 9132, Section 4.5.2: 2.01 the first time, 2.04 with the same sid again; 4.22 out of the range.
		messages := c.run("config/sid=1", c.withBody(configuring(t, 60), "-G", "2")...)
		if first, second := count(messages, "2.01"), count(messages, "2.04"); first != 1 || second != 1 {
			t.Errorf("PUT twice: %v; want 2.01, then 2.04", messages)
		}
		answer = c.ask("config/sid=1", c.withBody(configuring(t, 1))...).expect(t, "PUT out of range", "4.22")
		if !strings.Contains(answer.text, "heartbeat-interval") {
			t.Errorf("PUT out of range: the diagnostic is %q; want the parameter's name", answer.text)
		}
		c.ask("config/sid=1").expect(t, "GET of an unknown sid", "4.04")
		c.ask("config", "-m", "delete").expect(t, "DELETE", "2.02")
	})
}

// Pings of a foreign client are answered, so it keeps its session. RFC 7252, Section 4.3; RFC 8323, Section 5.4.
func TestInteropKeepalive(t *testing.T) {
	eachClient(t, setup{}, func(t *testing.T, c *client) {
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT", "2.01")
		p := c.observer(1, "-K", "1")
		pong := func(m message) bool { return m.code == "0.00" && m.kind == "RST" }
		if c.overTCP() {
			pong = func(m message) bool { return m.code == "Pong" }
		}
		c.r.await(p, "three answers to pings", times(3, pong))
		// A client that misses one makes a new session.
		if n := strings.Count(p.text(), "session connected"); n != 1 {
			t.Errorf("%d sessions; want 1", n)
		}
	})
}

// The gateway's heartbeats are no resource of a foreign client's: it answers 4.04 or RST. That it answers is what counts,
// so its session goes on. RFC 9132, Section 4.7.
func TestInteropHeartbeat(t *testing.T) {
	eachClient(t, setup{more: "session: {heartbeat_interval: 1s, missing_hb_allowed: 2}\n"}, func(t *testing.T, c *client) {
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT", "2.01")
		p := c.observer(1)
		// So many take twice the time after which a silent client is lost.
		c.r.await(p, "heartbeats", times(5, func(m message) bool {
			return m.code == "PUT" && strings.Contains(m.options, "Uri-Path:hb")
		}))
		c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=1", cuid), "-m", "delete").expect(t, "DELETE", "2.02")
		c.r.await(p, "a notification after heartbeats", once(func(m message) bool { return m.status() == 5 }))
	})
}

// A client that is killed says no goodbye. It comes back from the same port and is served, and the one that is gone does not
// stand in its way. RFC 6347, Section 4.2.8.
func TestInteropKilledClient(t *testing.T) {
	eachClient(t, setup{}, func(t *testing.T, c *client) {
		port := strconv.Itoa(freePort(t))
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT", "2.01")
		for range 2 {
			p := c.observer(1, "-p", port) // it returns when it is answered
			if line := c.r.gateway.waitFor("session up", ":"+port); line == "" {
				t.Fatalf("no session from port %s", port)
			}
			p.kill()
		}
		c.get(1, "-p", port).expect(t, "GET from the same port", "2.05")
		c.put(1, asking(t, "192.0.2.1/32"), "-p", port).expect(t, "PUT from the same port", "2.04")
	})
}

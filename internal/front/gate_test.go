package front

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/dtls/v3"
)

// gatedHouse has a front whose self-test has failed.
func gatedHouse(t *testing.T) (*house, *error) {
	t.Helper()
	var alarm error
	h := newHouse(t, func(c *Config) {
		options := c.Options
		// What the self-test sees is not what the handshakes get.
		c.Options = func() []dtls.ServerOption { return append(options(), dtls.WithInsecureSkipVerifyHello(true)) }
		c.Alarm = func(err error) { alarm = err }
		c.Rate, c.Burst, c.MaxPerPrefix = 1e6, 1e6, 1e6
	})
	return h, &alarm
}

func TestAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, alarm := gatedHouse(t)
		defer h.close(t)
		if !errors.Is(*alarm, errHandOver) || !h.front.Gated() {
			t.Errorf("Gated() = %v, alarm %v", h.front.Gated(), *alarm)
		}
		whole := newHouse(t)
		defer whole.close(t)
		if whole.front.Gated() {
			t.Error("Gated() where the hand-over works")
		}
	})
}

// TestGateHandshake: the gate lets the library do its own cookie exchange.
func TestGateHandshake(t *testing.T) {
	for name, path := range paths() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, _ := gatedHouse(t)
				defer h.close(t)
				h.lose(path.toServer, path.toClient)
				c, _ := h.client(t, clientAddr(1))
				echo(t, c, "ping")
				if got := h.front.gate.unproven.Load(); got != 0 {
					t.Errorf("%d are unproven", got)
				}
				_ = c.Close()
				<-h.ended
			})
		})
	}
}

// flood sends hellos from many addresses that nobody listens at.
func (h *house) flood(count int) {
	for i := range count {
		h.inject(clientHello(0, 0, [randomSize]byte{byte(i), byte(i >> 8), 1}, nil), clientAddr(uint16(10000+i)))
	}
	synctest.Wait()
}

// TestGateUnderLoad: when many have proven nothing, an unknown address proves itself first, and its second attempt succeeds.
func TestGateUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := gatedHouse(t)
		defer h.close(t)
		h.flood(2 * gateOpen)
		if got := h.front.gate.unproven.Load(); got != gateOpen {
			t.Errorf("%d are unproven, want %d", got, gateOpen)
		}
		h.wantKnown(t, gateOpen, 0)
		s := h.socket(clientAddr(1))
		start := time.Now()
		if _, err := h.dial(s, h.clientOptions()); err == nil {
			t.Error("the first attempt succeeds")
		}
		if wait := time.Since(start); wait > time.Second {
			t.Errorf("the client was told after %v", wait)
		}
		c, err := h.dial(h.socket(clientAddr(2)), h.clientOptions()) // the same address, another port
		if err != nil {
			t.Fatalf("the second attempt: %v", err)
		}
		echo(t, c, "ping")
		_ = c.Close()
		<-h.ended
		time.Sleep(2 * time.Minute) // the flood's handshakes give up
		synctest.Wait()
		if got := h.front.gate.unproven.Load(); got != 0 {
			t.Errorf("%d are unproven at the end", got)
		}
		for range gateOpen {
			<-h.failures
		}
	})
}

// TestGateForgedProof: a cookie that is not ours proves nothing, and gets no answer.
func TestGateForgedProof(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	f.gate = newGate()
	f.route(n, clientHello(1, 1, [randomSize]byte{1}, make([]byte, cookieSize)), udpPath(1))
	if len(n.sentSince(0)) > 0 || f.gate.known.Len() > 0 {
		t.Error("a forged cookie is taken")
	}
	now := time.Now()
	f.gate.remember(clientAddr(1).Addr(), now)
	if !f.gate.knows(clientAddr(9).Addr(), now.Add(gateMemory-1)) || f.gate.knows(clientAddr(9).Addr(), now.Add(gateMemory)) {
		t.Error("an address is not known for as long as it should")
	}
}

// TestGateSmallHello: a hello that is smaller than twice what answers it is no way to amplify, at a gate neither.
func TestGateSmallHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := gatedHouse(t)
		defer h.close(t)
		small := smallHello()
		if _, ok := parseHello(small); !ok || len(small) >= minHello {
			t.Fatalf("%d bytes, well-formed: %v", len(small), ok)
		}
		h.inject(small, clientAddr(1))
		synctest.Wait()
		if sent := h.sentSince(0); len(sent) > 0 {
			t.Errorf("answered by %d bytes", len(sent[0]))
		}
		h.wantKnown(t, 0, 0)
	})
}

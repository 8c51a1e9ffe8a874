package downstream

import (
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// countingMeter counts in plain numbers.
type countingMeter struct {
	mu                       sync.Mutex
	up, down, lost, disowned int
	missed, observers        int
	refused                  int // observations
	requests, notified       map[string]int
}

func newCountingMeter() *countingMeter {
	return &countingMeter{requests: make(map[string]int), notified: make(map[string]int)}
}

func (m *countingMeter) count(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *countingMeter) SessionUp(bool) { m.count(func() { m.up++ }) }

func (m *countingMeter) SessionDown(_ bool, why Ending) {
	m.count(func() {
		m.down++
		switch why {
		case Lost:
			m.lost++
		case Disowned:
			m.disowned++
		}
	})
}

func (m *countingMeter) Request(method wire.Method, code dots.Code) {
	m.count(func() { m.requests[string(rune('0'+method))+" "+code.String()]++ })
}
func (m *countingMeter) HeartbeatMissed() { m.count(func() { m.missed++ }) }
func (m *countingMeter) Observers(change ObserverChange) {
	m.count(func() {
		switch change {
		case ObserverBegan:
			m.observers++
		case ObserverEnded:
			m.observers--
		case ObserverRefused:
			m.refused++
		}
	})
}
func (m *countingMeter) Notified(code dots.Code) { m.count(func() { m.notified[code.String()]++ }) }

// A Server without a meter counts for nobody and works all the same.
func TestNoMeter(t *testing.T) {
	inRig(t, func(c *Config) { c.Meter = nil }, func(r *rig) {
		c := r.connect("a.example")
		if got := code(c.do(request(putCode, pathHB, bodyHBTrue))); got != "2.04" {
			t.Errorf("heartbeat: %s; want 2.04", got)
		}
	})
}

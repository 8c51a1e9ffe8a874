package downstream

import "sync"

// presence counts the sessions of each client entry and tells the core of the last that is lost and of each that
// comes. Its lock is held while the core is told, so that the core hears of losses and returns in their order.
type presence struct {
	core  Core
	mu    sync.Mutex
	count map[string]int
}

func newPresence(core Core) *presence {
	return &presence{core: core, count: make(map[string]int)}
}

// join counts one more session of a client entry.
func (p *presence) join(entry string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[entry]++
	p.core.ClientBack(entry)
}

// of is how many sessions a client entry has.
func (p *presence) of(entry string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[entry]
}

// leave counts one session less. A client is lost when its last session is lost by missed heartbeats; a session that
// its peer ended, or that we closed, fires nothing (RFC 9132, Section 4.7).
func (p *presence) leave(entry string, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count[entry]--
	if p.count[entry] > 0 {
		return
	}
	delete(p.count, entry)
	if lost {
		p.core.ClientLost(entry)
	}
}

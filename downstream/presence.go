package downstream

import (
	"sync"
	"time"
)

// presence counts the sessions of each client entry and tells the core when the last of them has gone, and of each that
// comes. Its lock is held while the core is told, so that the core hears of goings and returns in their order.
type presence struct {
	core Core
	now  func() time.Time
	mu   sync.Mutex
	of   map[string]*standing
}

// standing is what is known of a client entry that has sessions.
type standing struct {
	sessions int
	span     time.Duration // that the core was told last
	until    time.Time     // a session that has gone does not make the client lost before that
}

func newPresence(core Core, now func() time.Time) *presence {
	return &presence{core: core, now: now, of: make(map[string]*standing)}
}

// join counts one more session of a client entry, which is lost once it is silent for the span.
func (p *presence) join(entry string, span time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of[entry]
	if s == nil {
		s = &standing{}
		p.of[entry] = s
	}
	s.sessions++
	s.span = span
	p.core.ClientBack(entry, span)
}

// refit tells that a session of a client entry has another span now, if it is another one: it is called at each request of some kinds.
func (p *presence) refit(entry string, span time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of[entry]; s != nil && s.span != span {
		s.span = span
		p.core.ClientBack(entry, span)
	}
}

// count is how many sessions a client entry has.
func (p *presence) count(entry string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of[entry]; s != nil {
		return s.sessions
	}
	return 0
}

// leave counts one session less. A client is lost when all its sessions are by missed heartbeats. One that its peer ended, or that
// we closed, fires nothing by itself: it begins a countdown of the span in which its heartbeats would have been missed, and only when
// there is no new session by its end the client is lost (RFC 9132, Section 4.7). Lost sessions have been silent for that long: span is 0.
func (p *presence) leave(entry string, span time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of[entry]
	now := p.now()
	if at := now.Add(span); at.After(s.until) {
		s.until = at
	}
	if s.sessions--; s.sessions > 0 {
		return
	}
	delete(p.of, entry)
	p.core.ClientGone(entry, s.until.Sub(now))
}

// passed notes that a client entry was here without a session that counts: within the span it is not lost.
func (p *presence) passed(entry string, span time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of[entry]
	if s == nil {
		p.core.ClientGone(entry, span)
		return
	}
	if at := p.now().Add(span); at.After(s.until) {
		s.until = at
	}
}

// spared is for how much longer a client entry is not lost, whatever becomes of its sessions; 0: it may be with the last of them.
func (p *presence) spared(entry string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of[entry]; s != nil {
		return max(s.until.Sub(p.now()), 0)
	}
	return 0
}

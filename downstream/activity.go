package downstream

import "sync"

// activity knows which client entries have active mitigations, and their sessions. Its lock is never held while the core is called, because the core's
// own loop says who has some. Lock order: activity, then a peer's.
type activity struct {
	mu    sync.Mutex
	on    map[string]bool
	peers map[string][]*peer // by client entry; a peer knows its place
}

func newActivity() *activity {
	return &activity{on: make(map[string]bool), peers: make(map[string][]*peer)}
}

// join enters a session of a client entry, and puts the set of parameters in force there that holds now.
func (a *activity) join(entry string, p *peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.place = len(a.peers[entry])
	a.peers[entry] = append(a.peers[entry], p)
	p.swing(a.on[entry])
}

// leave takes out a session that was entered under the client entry.
func (a *activity) leave(entry string, p *peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.peers[entry]
	last := len(list) - 1
	if last == 0 {
		delete(a.peers, entry)
		return
	}
	list[p.place] = list[last]
	list[p.place].place = p.place
	list[last] = nil
	a.peers[entry] = list[:last]
}

// swing notes whether a client entry has active mitigations, and returns those of its sessions whose parameters are others by it.
func (a *activity) swing(entry string, on bool) (swung []*peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if on {
		a.on[entry] = true
	} else {
		delete(a.on, entry)
	}
	for _, p := range a.peers[entry] {
		if p.swing(on) {
			swung = append(swung, p)
		}
	}
	return swung
}

// active reports whether a client entry has active mitigations.
func (a *activity) active(entry string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.on[entry]
}

// Mitigating says that a client entry has active mitigations, or has none any more: each of its sessions goes over to the set of parameters that is for
// that, and those who observe their configuration are told. It does not block, and saying it twice does no harm.
//
// RFC 9132, Section 4.5: mitigating-config holds while a mitigation is active, idle-config else; agents switch by themselves.
func (s *Server) Mitigating(client string, on bool) {
	defer s.toldLater(client, on)
	for _, p := range s.activity.swing(client, on) {
		s.watchers.changed(resource{config: p})
	}
}

// toldLater tells the observers of a client that has no active mitigation any more what was put off until then: to go elsewhere.
func (s *Server) toldLater(client string, on bool) {
	if _, ok := s.redirection(client); ok && !on {
		s.watchers.nudge(func(entry string) bool { return entry == client })
	}
}

// swing puts the other set of parameters in force, and reports whether its values are others.
func (p *peer) swing(on bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down || p.mitigating == on {
		return false
	}
	before := p.set()
	p.mitigating, p.fresh = on, p.srv.cfg.Now()
	p.apply()
	return p.set() != before
}

package front

import (
	"hash/maphash"
	"sync"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// tableShards keeps the queues' readers out of each other's way.
const tableShards = 64

// table finds the connection that a datagram belongs to: by connection ID, or by address.
type table struct {
	seed   maphash.Seed
	byPath [tableShards]pathShard
	byID   [tableShards]idShard
}

type pathShard struct {
	mu     sync.RWMutex
	places map[udp.Path]place
}

type idShard struct {
	mu    sync.RWMutex
	conns map[connectionID]*Conn
}

// place is what there is at one address.
//
// RFC 6347, Section 4.2.8: a client that has lost its state begins anew from the same address. The old association lives on
// until the new handshake has proven who the client is, so there may be two.
type place struct {
	established *Conn
	pending     *Conn
}

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

func (t *table) pathShard(p udp.Path) *pathShard {
	return &t.byPath[maphash.Comparable(t.seed, p)%tableShards]
}

// idShard needs no hash: connection IDs are random.
func (t *table) idShard(id connectionID) *idShard { return &t.byID[id[0]%tableShards] }

// at returns what there is at an address.
func (t *table) at(p udp.Path) place {
	s := t.pathShard(p)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.places[p]
}

// owner returns who was given the connection ID; nil for nobody.
func (t *table) owner(id connectionID) *Conn {
	s := t.idShard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.conns[id]
}

// open makes c the handshake at its address, and returns the one that it replaces.
func (t *table) open(c *Conn) (before *Conn) {
	t.change(c.origin, func(p *place) { before, p.pending = p.pending, c })
	return before
}

// settle makes c the session at its address, and returns the one that it succeeds. A peer that uses a connection ID needs its
// address no more: then the address is free for whoever gets it next.
func (t *table) settle(c *Conn, usesID bool) (before *Conn) {
	t.change(c.origin, func(p *place) {
		if p.pending == c {
			p.pending = nil
		}
		before, p.established = p.established, c
		if usesID {
			p.established = nil
		}
	})
	return before
}

// adopt makes c, which has its connection ID already, the session at its address, and reports false where there is one.
func (t *table) adopt(c *Conn) bool {
	if id := c.id.Load(); id != nil {
		s := t.idShard(*id)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.conns[*id] != nil {
			return false
		}
		if s.conns == nil {
			s.conns = make(map[connectionID]*Conn)
		}
		s.conns[*id] = c
		return true
	}
	taken := false
	t.change(c.origin, func(p *place) {
		if taken = p.established != nil; !taken {
			p.established = c
		}
	})
	return !taken
}

// forget leaves nothing that leads to c.
func (t *table) forget(c *Conn) {
	t.change(c.origin, func(p *place) {
		if p.pending == c {
			p.pending = nil
		}
		if p.established == c {
			p.established = nil
		}
	})
	if id := c.id.Swap(nil); id != nil {
		s := t.idShard(*id)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, *id)
	}
}

// name gives c a connection ID.
func (t *table) name(c *Conn, id connectionID) {
	s := t.idShard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[connectionID]*Conn)
	}
	s.conns[id] = c
	c.id.Store(&id)
}

func (t *table) change(at udp.Path, f func(*place)) {
	s := t.pathShard(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.places[at]
	f(&p)
	if p == (place{}) {
		delete(s.places, at)
		return
	}
	if s.places == nil {
		s.places = make(map[udp.Path]place)
	}
	s.places[at] = p
}

// counts is how many addresses and connection IDs lead to somebody.
func (t *table) counts() (paths, ids int) {
	for i := range tableShards {
		p, c := &t.byPath[i], &t.byID[i]
		p.mu.RLock()
		paths += len(p.places)
		p.mu.RUnlock()
		c.mu.RLock()
		ids += len(c.conns)
		c.mu.RUnlock()
	}
	return paths, ids
}

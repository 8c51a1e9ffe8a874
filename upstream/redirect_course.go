package upstream

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

const (
	// redirectAgain is for how long a server that was met is not gone to by a redirect (RFC 9132, Section 4.6).
	redirectAgain = 5 * time.Minute
	// maxRedirects is how many redirects are followed within that time; more are taken for a loop, whatever the names.
	maxRedirects = 4
	// maxMet bounds the servers that are remembered; the oldest makes room.
	maxMet = 16
	// defaultRedirect is how long a redirect holds that does not say it (RFC 7252, Section 5.10.5).
	defaultRedirect = 60
	// redirectForever is the Max-Age of one that holds until the next one (RFC 9132, Section 4.6).
	redirectForever = 1<<32 - 1
)

// stay is the server that sessions are made to: the provisioned one, or the one that a redirect names.
type stay struct {
	alternate dots.Redirect // with an empty Server: the provisioned one
	until     time.Time     // when a redirect ends; zero: not before the next one
}

// away reports whether it is not the provisioned server.
func (s stay) away() bool { return s.alternate.Server != "" }

// over reports whether the time of a redirect has ended.
func (s stay) over(now time.Time) bool { return !s.until.IsZero() && !now.Before(s.until) }

// met is a server that we have communicated with.
type met struct {
	name string
	addr netip.Addr // zero: unknown
	last time.Time
}

// is reports whether it is the server that a redirect names: by its name, and by its addresses where both are known, since one name may stand
// for several servers (an anycast address and what is behind it).
func (m met) is(to dots.Redirect) bool {
	if !strings.EqualFold(m.name, trimmed(to.Server)) {
		return false
	}
	return len(to.Records) == 0 || !m.addr.IsValid() || slices.ContainsFunc(to.Records, func(r string) bool {
		a, err := netip.ParseAddr(r)
		return err == nil && a.Unmap() == m.addr
	})
}

func trimmed(name string) string { return strings.TrimSuffix(name, ".") }

// course knows at which server an uplink's sessions are to be, by the redirects that were told. It is pure, and has a bounded memory.
type course struct {
	home     string // the provisioned server's name
	at       stay   // where sessions are made
	addr     netip.Addr
	next     stay // where the next one is to be made, while moving
	moving   bool
	notAgain time.Time // the way home is not tried before; zero: at once
	servers  []met     // oldest first
	followed []time.Time
}

// bearing is what becomes of a redirect.
type bearing uint8

const (
	bearingLost   bearing = iota // it is not followed: it leads nowhere
	bearingLoop                  // nor is this one: we come from there
	bearingSame                  // we are on the way there already
	bearingFollow                // a session is to be made there
	bearingErrand                // what was asked is to be asked there, and nothing else
)

// told takes a redirect that came on the session of the moment, with its Max-Age.
//
// RFC 9132, Section 4.6: a redirect to a server with which one has communicated within the last five minutes is ignored. The server that we
// are at is one.
func (c *course) told(now time.Time, to dots.Redirect, maxAge dots.Maybe[uint32]) bearing {
	if trimmed(to.Server) == "" {
		return bearingLost
	}
	if c.moving && strings.EqualFold(trimmed(c.next.alternate.Server), trimmed(to.Server)) {
		return bearingSame
	}
	c.meet(now, c.name(c.at), c.addr)
	c.followed = slices.DeleteFunc(c.followed, func(t time.Time) bool { return now.Sub(t) >= redirectAgain })
	if c.knows(now, to) || len(c.followed) >= maxRedirects {
		return bearingLoop
	}
	c.followed = append(c.followed, now)
	ttl := maxAge.Or(longest(to.TTLs))
	if ttl == 0 {
		// RFC 9132, Section 4.6: it holds for the request in progress only.
		c.meet(now, to.Server, netip.Addr{})
		return bearingErrand
	}
	c.next, c.moving = stay{alternate: to}, true
	if ttl != redirectForever {
		c.next.until = now.Add(time.Duration(ttl) * time.Second)
	}
	return bearingFollow
}

// longest is for how long one of an older dialect's records holds, in seconds (draft-ietf-dots-signal-channel-04, Section 5.5).
func longest(ttls []uint32) uint32 {
	if len(ttls) == 0 {
		return defaultRedirect
	}
	return slices.Max(ttls)
}

// heading is where a session is to be made now. Nothing is wanted there: active says whether a mitigation is.
//
// RFC 9132, Section 4.6: when its time is over, the provisioned server is gone back to at once, except while an attack is active.
func (c *course) heading(now time.Time, active bool) stay {
	switch {
	case c.moving:
		return c.next
	case c.at.away() && c.at.over(now) && !active:
		return stay{}
	}
	return c.at
}

// due reports whether a session is to be made beside the one there is, for it is at the wrong server.
func (c *course) due(now time.Time, active bool) bool {
	if c.moving {
		return true
	}
	return c.heading(now, active).away() != c.at.away() && !now.Before(c.notAgain)
}

// deadline is when due is to be asked again; zero: nothing changes by itself.
func (c *course) deadline(active bool) time.Time {
	if c.moving || !c.at.away() || c.at.until.IsZero() || active {
		return time.Time{}
	}
	if c.notAgain.After(c.at.until) {
		return c.notAgain
	}
	return c.at.until
}

// reached notes a session that was made where heading said, and is used from now on. It reports whether that is another server than before.
func (c *course) reached(now time.Time, to stay, addr netip.Addr) bool {
	other := !sameStay(to, c.at)
	if other {
		c.meet(now, c.name(c.at), c.addr)
	}
	if sameStay(to, c.next) {
		c.next, c.moving = stay{}, false
	}
	if c.at, c.addr = to, addr; other {
		c.notAgain = time.Time{}
	}
	c.meet(now, c.name(to), addr)
	return other
}

// missed notes that no session could be made where heading said; beside: there is one elsewhere, that stays. A server that we were
// redirected to is given up then. The way home is tried again, but not before the given time.
func (c *course) missed(now time.Time, to stay, beside bool, again time.Time) {
	c.meet(now, c.name(to), netip.Addr{})
	switch {
	case c.moving && sameStay(to, c.next):
		c.next, c.moving = stay{}, false
	case to.away() && !beside:
		c.at, c.addr = stay{}, netip.Addr{}
	case !to.away():
		c.notAgain = again
	}
}

func sameStay(a, b stay) bool {
	return a.alternate.Server == b.alternate.Server && slices.Equal(a.alternate.Records, b.alternate.Records)
}

// name is the name of the server of a stay.
func (c *course) name(s stay) string {
	if s.away() {
		return s.alternate.Server
	}
	return c.home
}

// meet remembers a server.
func (c *course) meet(now time.Time, name string, addr netip.Addr) {
	name = trimmed(name)
	c.servers = slices.DeleteFunc(c.servers, func(m met) bool {
		return now.Sub(m.last) >= redirectAgain || strings.EqualFold(m.name, name) && m.addr == addr
	})
	if len(c.servers) >= maxMet {
		c.servers = slices.Delete(c.servers, 0, 1)
	}
	c.servers = append(c.servers, met{name, addr, now})
}

// knows reports whether a redirect leads to a server that was met not long ago.
func (c *course) knows(now time.Time, to dots.Redirect) bool {
	return slices.ContainsFunc(c.servers, func(m met) bool { return now.Sub(m.last) < redirectAgain && m.is(to) })
}

package downstream

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// Redirection is the operator's word that clients are to go to another server (RFC 9132, Section 4.6).
type Redirection struct {
	// Client names the client entry, Domain the domain; at most one of them. Neither: everybody's. The narrowest one counts.
	Client, Domain string
	// To is where: a name to check, required, and at most 8 addresses. No TTLs.
	To dots.Redirect
	// TTL is for how long they are to keep to it, in whole seconds; 0: for the request in hand only. At most MaxRedirectTTL.
	TTL time.Duration
}

// MaxRedirectTTL is the longest time of a redirect: more would be "for ever" (RFC 9132, Section 4.6).
const MaxRedirectTTL = (1<<32 - 2) * time.Second

const (
	maxRedirections    = 256
	maxRedirectRecords = 8 // more would not fit a small datagram with a long name
	// Whoever was told so often, each time so much later, and still asks here does not follow: the other server may not serve it. It is served here, for
	// a protection that is refused is worse than one in the wrong place.
	redirectPatience = 3
	redirectGap      = 10 * time.Second
)

var errRedirect = errors.New("cannot redirect")

// check says what is wrong with a redirection.
func (r Redirection) check() error {
	if fault := wire.CheckName(r.To.Server); fault != "" {
		return fmt.Errorf("%w: %q: %s", errRedirect, r.To.Server, fault)
	}
	for _, a := range r.To.Records {
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("%w: %q is no address", errRedirect, a)
		}
	}
	switch {
	case len(r.To.Records) > maxRedirectRecords:
		return fmt.Errorf("%w: more than %d addresses", errRedirect, maxRedirectRecords)
	case r.TTL < 0 || r.TTL > MaxRedirectTTL || r.TTL%time.Second != 0:
		return fmt.Errorf("%w: a time of %v; use whole seconds up to %v", errRedirect, r.TTL, MaxRedirectTTL)
	case r.Client != "" && r.Domain != "":
		return fmt.Errorf("%w: a client and a domain", errRedirect)
	}
	return nil
}

// refusal is the answer that sends on. RFC 9132, Section 4.6: 5.03 with the alternate server, for as long as Max-Age says; each dialect has its own form.
func (r Redirection) refusal() wire.Response {
	to := r.To
	return wire.Response{Code: dots.CodeUnavailable, Redirect: dots.Some(to), MaxAge: dots.Some(wholeSeconds(r.TTL))}
}

// redirects holds the operator's redirections, and which client entries were told of one. Both are bounded by the configured names. Safe for concurrent use.
type redirects struct {
	any atomic.Bool // there are some, or somebody was told: else nothing is looked up, since each request asks

	mu     sync.Mutex
	orders map[whom]Redirection
	told   map[string]*told // by client entry
}

// whom is for whom a redirection is.
type whom struct{ client, domain string }

// told is what a client entry was told.
type told struct {
	by     whom
	until  time.Time // when that is over
	last   time.Time
	times  int  // by and by
	served bool // it does not follow
}

func newRedirects() *redirects {
	return &redirects{orders: make(map[whom]Redirection), told: make(map[string]*told)}
}

// set puts a redirection in force in place of the one for the same; off takes one back and reports whether there was one.
func (t *redirects) set(r Redirection) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := whom{r.Client, r.Domain}
	if _, had := t.orders[of]; !had && len(t.orders) >= maxRedirections {
		return fmt.Errorf("%w: there are %d redirections; use a domain's, or everybody's", errRedirect, maxRedirections)
	}
	t.orders[of] = r
	t.any.Store(true)
	return nil
}

func (t *redirects) off(of whom) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, had := t.orders[of]
	delete(t.orders, of)
	return had
}

// list returns the redirections in force, in no order.
func (t *redirects) list() []Redirection {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Redirection
	for _, r := range t.orders {
		all = append(all, r)
	}
	return all
}

// of finds the redirection of a client entry, the narrowest first.
func (t *redirects) of(entry, domain string) (Redirection, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range []whom{{client: entry}, {domain: domain}, {}} {
		if w.client+w.domain == "" && w != (whom{}) {
			continue
		}
		if r, ok := t.orders[w]; ok {
			return r, true
		}
	}
	return Redirection{}, false
}

// telling is what becomes of the intention to tell a client of a redirection.
type telling int

const (
	toldFirst telling = iota // to be told, for the first time
	toldAgain
	givenUp // it does not follow, as is just found
	serving // and is served here
)

// tell notes that a client entry is about to be told of a redirection, where that is of use.
func (t *redirects) tell(entry string, r Redirection, now time.Time) telling {
	t.mu.Lock()
	defer t.mu.Unlock()
	by := whom{r.Client, r.Domain}
	x := t.told[entry]
	if x == nil || x.by != by || now.Sub(x.last) > max(r.TTL, overflowFor) {
		x = &told{by: by}
		t.told[entry] = x
	}
	if x.served {
		return serving
	}
	first := x.times == 0
	if first || now.Sub(x.last) >= redirectGap {
		x.times++
		x.last = now
	}
	x.until = now.Add(r.TTL)
	switch {
	case first:
		return toldFirst
	case x.times > redirectPatience:
		x.served = true
		return givenUp
	}
	return toldAgain
}

// sent notes that another process has told a client entry to be elsewhere, for so much longer.
func (t *redirects) sent(entry string, now time.Time, away time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[entry] = &told{until: now.Add(away), last: now}
	t.any.Store(true)
}

// here notes that a client entry is served here, and reports whether it was told to be elsewhere.
func (t *redirects) here(entry string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.told[entry]
	delete(t.told, entry)
	return x != nil && !x.served
}

// away is for how much longer a client entry was told to be elsewhere; 0: it was not.
func (t *redirects) away(entry string, now time.Time) time.Duration {
	if !t.any.Load() {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.told[entry]; x != nil && !x.served {
		return max(x.until.Sub(now), 0)
	}
	return 0
}

// Redirect sends clients to another server from now on: each is told in the answer to its next request, and those who observe something in a notification.
// While a client has an active mitigation it is served here, and is told when it has none any more (RFC 8612, SIG-005). Heartbeats and withdrawals are
// answered here in any case. Whoever keeps asking here all the same is served. It replaces the redirection that there was for the same. It does not block.
func (s *Server) Redirect(r Redirection) error {
	if err := r.check(); err != nil {
		return err
	}
	if s.isHere(r.To) {
		return fmt.Errorf("%w: %s is this node", errRedirect, r.To.Server)
	}
	if err := s.redirects.set(r); err != nil {
		return err
	}
	s.watchers.nudge(func(entry string) bool {
		_, ok := s.redirection(entry)
		return ok
	})
	return nil
}

// isHere reports whether a redirect leads to this node, as far as its own name and addresses are configured.
func (s *Server) isHere(to dots.Redirect) bool {
	bare := func(name string) string { return strings.TrimSuffix(name, ".") }
	return strings.EqualFold(bare(to.Server), bare(s.unicast.Server)) || slices.ContainsFunc(to.Records, func(a string) bool {
		addr, err := netip.ParseAddr(a)
		return err == nil && slices.Contains(s.unicast.Records, addr.Unmap().String())
	})
}

// Undirect takes the redirection of a client entry, of a domain or, with neither, of everybody back, and reports whether there was one. Who was told keeps to it for its
// time.
func (s *Server) Undirect(client, domain string) bool { return s.redirects.off(whom{client, domain}) }

// Redirections lists the operator's redirections, in no order.
func (s *Server) Redirections() []Redirection { return s.redirects.list() }

// redirection finds where a client entry is to go now; false: it is served here.
func (s *Server) redirection(entry string) (Redirection, bool) {
	if !s.redirects.any.Load() {
		return Redirection{}, false
	}
	r, ok := s.redirects.of(entry, s.cfg.DomainOf(entry))
	// RFC 8612, SIG-005: no redirect while an active attack on the client is being mitigated.
	return r, ok && !s.activity.active(entry)
}

// sendsOn decides whether a client is to be told to go elsewhere now, in an answer or a notification, and notes that it is.
func (s *Server) sendsOn(p *peer, entry string) (Redirection, bool) {
	if p.elsewhere.Set {
		return p.elsewhere.Value, true
	}
	r, ok := s.redirection(entry)
	if !ok {
		return r, false
	}
	switch s.redirects.tell(entry, r, s.cfg.Now()) {
	case toldFirst: // for so long its silence means nothing, be it that we are started anew meanwhile
		s.presence.refit(entry, r.TTL+p.longest())
	case givenUp:
		s.cfg.Logger.Warn("client does not follow its redirect, serving it here", "client", entry, "to", r.To.Server)
		s.presence.refit(entry, p.longest())
		return r, false
	case serving:
		return r, false
	case toldAgain:
	}
	return r, true
}

// redirected reports whether the request is to be made elsewhere, and answers it so.
func (c *call) redirected() bool {
	if c.req.Op == wire.PutHeartbeat || c.req.Op == wire.DeleteMitigation && !c.peer.from.Anycast {
		return false
	}
	r, ok := c.srv.sendsOn(c.peer, c.entry)
	if ok {
		c.respond(r.refusal())
	} else {
		c.srv.stays(c.peer, c.entry)
	}
	return ok
}

// stays notes that a client entry asks here, and is served. Had it been told to be elsewhere, it came back before its time was over, and from now on its
// silence means something.
func (s *Server) stays(p *peer, entry string) {
	if !s.redirects.any.Load() {
		return
	}
	if _, ok := s.redirection(entry); !ok && s.redirects.here(entry) {
		s.presence.refit(entry, p.longest())
	}
}

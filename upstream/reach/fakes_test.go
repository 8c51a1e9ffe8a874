package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// nowhere is a link on which nothing arrives.
type nowhere struct{ addr net.Addr }

func (nowhere) WriteRecord([]byte) error { return nil }
func (nowhere) Close() error             { return nil }
func (n nowhere) LocalAddr() net.Addr    { return n.addr }
func (n nowhere) RemoteAddr() net.Addr   { return n.addr }
func (n nowhere) Reliable() bool {
	_, tcp := n.addr.(*net.TCPAddr)
	return tcp
}

// answer is what becomes of an attempt: a session after a while, or an error.
type answer struct {
	after time.Duration
	err   error
}

// errRefused is what a server gives that does not want us.
var errRefused = errors.New("refused")

// never is longer than anybody waits.
const never = 24 * time.Hour

// site is a network of servers in memory, by what answers where; who is not in answers is silent for ever.
type site struct {
	t       *testing.T
	start   time.Time
	timers  *coap.Timers
	mu      sync.Mutex
	answers map[string]answer
	names   map[string][]netip.Addr // nil values: the lookup fails
	log     []string                // attempts, with their time since start
	made    []*coap.Session
}

// dialer is a transport of it.
type dialer struct {
	*site
	tcp bool
}

func (d dialer) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (d dialer) DialTo(ctx context.Context, to coap.Place) (*coap.Session, error) {
	w := way{to.Addr, d.tcp}
	line := fmt.Sprintf("%v %v", time.Since(d.start).Round(time.Millisecond), w)
	if to.Name != "" {
		line += " as " + to.Name
	}
	d.mu.Lock()
	d.log = append(d.log, line)
	a, ok := d.answers[w.String()]
	d.mu.Unlock()
	if !ok {
		a.after = never
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(a.after):
	}
	if a.err != nil {
		return nil, a.err
	}
	return d.session(w), nil
}

func (s *site) session(w way) *coap.Session {
	var addr net.Addr = net.UDPAddrFromAddrPort(w.addr)
	if w.tcp {
		addr = net.TCPAddrFromAddrPort(w.addr)
	}
	session, err := coap.NewSession(coap.SessionConfig{Link: nowhere{addr}, Timers: s.timers})
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = append(s.made, session)
	return session
}

func (s *site) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if addrs := s.names[host]; addrs != nil {
		return slices.Clone(addrs), nil
	}
	return nil, errors.New("no such host")
}

// attempts takes what was tried since the last call.
func (s *site) attempts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// set changes the site.
func (s *site) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func addrs(texts ...string) (as []netip.Addr) {
	for _, text := range texts {
		as = append(as, netip.MustParseAddr(text))
	}
	return as
}

// visit is a Reach to dots.example with an address of each family, in virtual time; f may change the site. It ends with f.
func visit(t *testing.T, change func(*Config), f func(s *site, r *Reach)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{
			t: t, start: time.Now(), timers: coap.NewTimers(), answers: map[string]answer{},
			names: map[string][]netip.Addr{"dots.example": addrs("192.0.2.1", "2001:db8::1")},
		}
		cfg := Config{Address: "dots.example:4646", UDP: dialer{s, false}, TCP: dialer{s, true}, Lookup: s.lookup}
		if change != nil {
			change(&cfg)
		}
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		f(s, r)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

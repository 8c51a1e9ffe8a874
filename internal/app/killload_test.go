package app

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

func (s seen) asks() bool    { return s.op == wire.PutMitigation }
func (s seen) removes() bool { return s.op == wire.DeleteMitigation }

// prefixes lists what stands upstream, under the lock.
func (u *upstreamServer) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, of := range u.stands {
		for _, m := range of {
			all = append(all, m.request.Target.Prefixes...)
		}
	}
	slices.SortFunc(all, comparePrefixes)
	return all
}

func comparePrefixes(a, b netip.Prefix) int { return cmp.Compare(a.String(), b.String()) }

// promise is what the gateway has said about a mitigation.
type promise uint8

const (
	unsure promise = iota // asked or withdrawn, and not answered: either will do
	stands                // the request was answered, and nothing was withdrawn
	gone                  // the withdrawal was answered, or a check found that the request had come to nothing
)

// maxStanding bounds the mitigations of one author, so that there is always something to withdraw.
const maxStanding = 12

// author is a client's session that makes load. Its mids and targets are its own.
type author struct {
	index    int
	client   string
	cred     *coap.Credentials
	reliable bool

	c        *testClient // of this round
	next     uint32
	promises map[uint32]promise
	counts   map[string]int
}

// ledger holds what was promised to all authors.
type ledger struct{ authors []*author }

func newLedger(pki string, t *testing.T) *ledger {
	l := &ledger{}
	for i, name := range []string{"client1", "client2", "client1", "client2"} {
		l.authors = append(l.authors, &author{
			index: i, client: name, cred: labCredentials(t, pki, name), reliable: i >= 2,
			promises: map[uint32]promise{}, counts: map[string]int{},
		})
	}
	return l
}

// connect gives every author a session with the gateway of this round.
func (l *ledger) connect(t *testing.T, addrs []net.Addr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range l.authors {
		to := addrs[slices.IndexFunc(addrs, func(x net.Addr) bool { return (networkOf(x) == coap.NetworkTCP) == a.reliable })]
		all.Go(func() {
			c, err := dial(ctx, a.cred, to)
			if err != nil {
				t.Errorf("author %d: %v", a.index, err)
				return
			}
			c.name, c.cuid = a.client, "cuid-of-"+a.client
			a.c = c
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// disconnect gives the sessions up.
func (l *ledger) disconnect() {
	for _, a := range l.authors {
		a.c.close()
	}
}

// check compares what the gateway shows with what it promised, and makes sure of what is unsure.
func (l *ledger) check(t *testing.T, round int) {
	t.Helper()
	for _, a := range l.authors {
		shown := a.shown(t)
		for mid, p := range a.promises {
			status, there := shown[mid]
			live := there && status >= dots.StatusInProgress && status <= dots.StatusExceeded
			switch {
			case p == stands && !live:
				t.Errorf("round %d: mitigation %d of %s was promised and is lost (status %v)", round, mid, a.client, status)
			case p == gone && live:
				t.Errorf("round %d: mitigation %d of %s is back after its end (status %v)", round, mid, a.client, status)
			case live:
				a.promises[mid] = stands
			default:
				a.promises[mid] = gone
			}
		}
	}
}

// shown is what the gateway tells an author's client.
func (a *author) shown(t *testing.T) map[uint32]dots.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := a.c.do(ctx, wire.Request{Op: wire.GetMitigations})
	if err != nil || resp.Code != dots.CodeContent && resp.Code != dots.CodeNotFound {
		t.Fatalf("author %d: listing: %v %v", a.index, resp.Code, err)
	}
	all := map[uint32]dots.Status{}
	for _, r := range resp.Reports {
		all[r.MID] = r.Status
	}
	return all
}

// loadFor lets the authors work for a time, has the gateway killed, and waits for them.
func (l *ledger) loadFor(t *testing.T, d time.Duration, kill func()) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range l.authors {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := a.work(ctx); err != nil {
					if ctx.Err() == nil {
						t.Errorf("author %d: %v", a.index, err)
					}
					return
				}
			}
		})
	}
	<-time.After(d)
	kill()
	cancel()
	all.Wait()
	l.disconnect()
}

// work asks for one thing: something new, more time, or an end.
func (a *author) work(ctx context.Context) error {
	var standing []uint32
	for mid, p := range a.promises {
		if p == stands {
			standing = append(standing, mid)
		}
	}
	if len(standing) == 0 || len(standing) < maxStanding && rand.IntN(2) == 0 {
		a.next++
		mid := uint32(a.index+1)*1_000_000 + a.next
		a.promises[mid] = unsure
		return a.ask(ctx, "new", put(mid, 600, a.target(mid).String()), dots.CodeCreated, stands)
	}
	mid := standing[rand.IntN(len(standing))]
	if rand.IntN(2) == 0 {
		return a.ask(ctx, "refreshed", put(mid, 700, a.target(mid).String()), dots.CodeChanged, stands)
	}
	a.promises[mid] = unsure
	return a.ask(ctx, "withdrawn", remove(mid), dots.CodeDeleted, gone)
}

// ask sends a request and notes what its answer promises. No answer is no error: the gateway is killed meanwhile.
func (a *author) ask(ctx context.Context, what string, req wire.Request, want dots.Code, then promise) error {
	resp, err := a.c.do(ctx, req)
	if err != nil {
		<-ctx.Done()
		return nil
	}
	if resp.Code != want {
		return fmt.Errorf("%s of mid %d answered %v %q", what, req.MID.Value, resp.Code, resp.Diagnostic)
	}
	a.promises[req.MID.Value] = then
	a.counts[what]++
	return nil
}

// target is an address that only this mitigation asks for.
func (a *author) target(mid uint32) netip.Prefix {
	addr := netip.MustParseAddr("2001:db8:6401::").As16()
	addr[7], addr[13], addr[14], addr[15] = byte(a.index+1), byte(mid>>16), byte(mid>>8), byte(mid)
	return netip.PrefixFrom(netip.AddrFrom16(addr), 128)
}

// prefixes lists what the clients want, sorted.
func (l *ledger) prefixes() []netip.Prefix {
	var all []netip.Prefix
	for _, a := range l.authors {
		for mid, p := range a.promises {
			if p == stands {
				all = append(all, a.target(mid))
			}
		}
	}
	slices.SortFunc(all, comparePrefixes)
	return all
}

// String sums up the load.
func (l *ledger) String() string {
	sum := map[string]int{}
	for _, a := range l.authors {
		for what, n := range a.counts {
			sum[what] += n
		}
	}
	return fmt.Sprintf("%v answered, %d stand", sum, len(l.prefixes()))
}

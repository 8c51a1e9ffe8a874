package gateway

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
	"github.com/dotsgate/dotsgate/store"
	"github.com/dotsgate/dotsgate/store/storetest"
)

// TestDrain lets an uplink drain through the loop: the command returns once it is durable, and says what is wrong with it.
//
// RFC 8811, Section 3.2.4: a server may be taken out.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), nil)
		drained := func() (list []string) {
			if err := w.gate.Look(t.Context(), func(c *Core) { list = c.Drained() }); err != nil {
				t.Fatal(err)
			}
			return list
		}
		if err := w.gate.Drain(t.Context(), "nowhere", true); err == nil || !strings.Contains(err.Error(), `"up"`) {
			t.Errorf("an unknown uplink: %v", err)
		}
		if err := w.gate.Drain(t.Context(), "up", true); err != nil || !slices.Equal(drained(), []string{"up"}) {
			t.Errorf("%v, drained %v", err, drained())
		}
		w.disk.FailCommit(1, errors.New("gone"))
		if err := w.gate.Drain(t.Context(), "up", false); dots.AsError(err).Code != dots.CodeUnavailable {
			t.Errorf("a disk that fails: %v", err)
		}
		if got := drained(); !slices.Equal(got, []string{"up"}) {
			t.Errorf("drained %v", got)
		}
		reached, release := w.disk.BlockCommit(1)
		late, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		if err := w.gate.Drain(late, "up", false); !errors.Is(err, context.Canceled) {
			t.Errorf("a disk that is slow: %v", err)
		}
		release()
		w.stop()
		if err := w.gate.Drain(t.Context(), "up", true); err == nil {
			t.Error("done by a gateway that stopped")
		}
	})
}

// TestReload changes the rules through the loop: who is known, what is allowed and what is asked of whom are of the new ones from then on.
//
// RFC 9132, Section 4.4.1: a target must be its client's domain's.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, store.NewMemory(), func(c *Config) {
			c.Core.Policy = testPolicyFor(t, func(c *policy.Config) { c.Domains[0].Limits.RequestsPerMinute = dots.Some(2) })
		})
		w.put(1, "192.0.2.1/32")
		w.put(2, "192.0.2.200/32")
		w.putAs("guest", 1, prefix("192.0.2.1/32"))
		w.want("put 1: 2.01", "put 2: 2.01", "put guest 1: 4.01 not authorised to ask for mitigation")
		if err := w.gate.Reload(t.Context(), Rules{}); err == nil {
			t.Error("took no policy")
		}
		rules := Rules{Identities: testCoreConfig(t).Identities, Policy: testPolicyFor(t, func(c *policy.Config) {
			c.Domains[0].Prefixes, c.Domains[0].Aliases = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}, nil
			c.Domains[0].Clients[1].CertNames = []string{"renamed"}
			c.Domains[0].Clients = c.Domains[0].Clients[:2]
		})}
		done := make(chan struct{})
		go func() { // as sessions do meanwhile
			defer close(done)
			for range 100 {
				w.gate.Identify(dots.Credential{Names: []string{"a"}})
			}
		}()
		if err := w.gate.Reload(t.Context(), rules); err != nil {
			t.Fatal(err)
		}
		<-done
		if _, ok := w.gate.Identify(dots.Credential{Names: []string{"b"}}); ok {
			t.Error("who is gone is known")
		}
		if name, _ := w.gate.Identify(dots.Credential{Names: []string{"renamed"}}); name != "b" {
			t.Errorf("who is new is %q", name)
		}
		w.get(1)
		w.get(2)
		w.put(3, "192.0.2.201/32")
		w.want("get 1: in-progress", "get 2: withdrawn", "put 3: 4.00 target-prefix 192.0.2.201/32 not yours")
		if err := w.gate.Look(t.Context(), func(c *Core) {
			if c.paces["a"] == nil || c.paces["guest"] != nil {
				t.Errorf("rates of %d clients are counted", len(c.paces))
			}
		}); err != nil {
			t.Fatal(err)
		}
		// Every new request of before, be it known or not, is none of these by now.
		if w.gate.known.has(dots.MitigationKey{Client: me, MID: 2}) {
			t.Error("what ended is taken for a refresh")
		}
	})
}

// TestReloadMany ends ten thousand mitigations by one change of rules: one step, and all of it durable.
func TestReloadMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		disk := store.NewMemory()
		w := newWorld(t, disk, func(c *Config) {
			c.Core.Policy = testPolicyFor(t, func(c *policy.Config) { c.Defaults.MaxMitigations = n })
		})
		for i := range uint32(n) {
			addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 12: byte(i >> 16), 13: byte(i >> 8), 14: byte(i)})
			w.put(i, netip.PrefixFrom(addr, 128).String())
			if i%1000 == 999 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		w.mu.Lock()
		if len(w.answers) != n {
			t.Fatalf("%d answers", len(w.answers))
		}
		w.mu.Unlock()
		rules := Rules{Identities: testCoreConfig(t).Identities, Policy: testPolicyFor(t, func(c *policy.Config) {
			c.Domains[0].Prefixes = c.Domains[0].Prefixes[:1]
		})}
		begin := time.Now()
		if err := w.gate.Reload(t.Context(), rules); err != nil {
			t.Fatal(err)
		}
		if !time.Now().Equal(begin) {
			t.Errorf("took %v", time.Since(begin))
		}
		synctest.Wait()
		for _, r := range storetest.All(t, disk) {
			if r.Kind == kindMitigation || r.Kind == kindLeg {
				t.Fatalf("left: %s %q", r.Kind, r.Key)
			}
		}
		if len(w.wants) != 0 {
			t.Errorf("the uplink keeps %d", len(w.wants))
		}
	})
}

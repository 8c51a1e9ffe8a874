package throttle

import (
	"net/netip"
	"testing"
	"time"
)

func TestWhoIsCountedTogether(t *testing.T) {
	cases := []struct {
		name string
		a, b string
		same bool
	}{
		{"one address of IPv4", "192.0.2.1", "192.0.2.1", true},
		{"neighbours of IPv4", "192.0.2.1", "192.0.2.2", false},
		{"IPv4 far apart", "192.0.2.1", "193.0.2.1", false},
		{"IPv4 and the same, mapped", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"one /56", "2001:db8:0:1100::1", "2001:db8:0:11ff:ffff:ffff:ffff:ffff", true},
		{"two /56", "2001:db8:0:1100::1", "2001:db8:0:1200::1", false},
		{"zones", "fe80::1%a", "fe80::1%b", true},
		{"IPv6 that looks like IPv4", "0.0.0.0", "::", false},
		{"IPv6 with the bits of IPv4", "192.0.2.1", "0:0:c0:2:100::", false},
		{"the first byte counts", "2001:db8::1", "3001:db8::1", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := keyOf(netip.MustParseAddr(c.a)) == keyOf(netip.MustParseAddr(c.b)); got != c.same {
				t.Errorf("%s and %s are counted together: %v", c.a, c.b, got)
			}
		})
	}
	if keyOf(netip.Addr{}) == 0 || keyOf(netip.MustParseAddr("0.0.0.0")) == 0 {
		t.Error("a key is 0, which means that nobody owns the slot")
	}
}

// stranger is the nth of many addresses.
func stranger(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

func TestWhatLimitsNobody(t *testing.T) {
	var b *Buckets
	var c *Caps
	for range 100 {
		if !b.Take(stranger(1), time.Now()) || !c.Acquire(stranger(1)) {
			t.Fatal("a table that is not there has refused")
		}
	}
	c.Release(stranger(1))
	if b.Stats(time.Now()) != (Stats{}) || c.Stats() != (Stats{}) {
		t.Error("a table that is not there has counted")
	}
}

func TestTablesAllocateNothing(t *testing.T) {
	b, c, now := NewBuckets(1024, 10, 20), NewCaps(1024, 4), time.Now()
	n := 0
	allocations := testing.AllocsPerRun(1000, func() {
		n++
		b.Take(stranger(n), now)
		c.Acquire(stranger(n))
		c.Release(stranger(n))
	})
	if allocations > 0 {
		t.Errorf("%v allocations for each turn", allocations)
	}
}

func BenchmarkTake(b *testing.B) {
	table, now := NewBuckets(1<<16, 10, 20), time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			table.Take(stranger(n), now)
		}
	})
}

func BenchmarkAcquire(b *testing.B) {
	table := NewCaps(1<<16, 4)
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			table.Acquire(stranger(n & 4095))
			table.Release(stranger(n & 4095))
		}
	})
}

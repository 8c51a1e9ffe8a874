package policy

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// manyPrefixes returns n disjoint IPv4 prefixes of 28 bits that cannot be aggregated.
func manyPrefixes(n int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		k := i * 32
		list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10 + byte(k>>24), byte(k >> 16), byte(k >> 8), byte(k)}), 28)
	}
	return list
}

// BenchmarkAdmit decides on a request of two prefixes in a domain that owns 100, 10,000 and 100,000: the cost must not grow with them.
func BenchmarkAdmit(b *testing.B) {
	for _, n := range []int{100, 10000, 100000} {
		b.Run(fmt.Sprintf("prefixes=%d", n), func(b *testing.B) {
			c := house()
			c.Domains[0].Prefixes = append(manyPrefixes(n), c.Domains[0].Prefixes...)
			p := mustNew(b, c)
			a := ask(dots.Target{Prefixes: []netip.Prefix{c.Domains[0].Prefixes[n/2], c.Domains[0].Prefixes[n-1]}})
			b.ReportAllocs()
			for b.Loop() {
				if v := p.Admit(&fakeView{}, a); v.Deny != nil {
					b.Fatal(v.Deny)
				}
			}
		})
	}
}

// BenchmarkAdmitNames decides on a request of a name, a URI and an alias.
func BenchmarkAdmitNames(b *testing.B) {
	p := mustNew(b, house())
	v := &fakeView{names: worldNames()}
	a := ask(dots.Target{FQDNs: []string{"www.example.com"}, URIs: []string{"https://mail.example.com/x"}, Aliases: []string{"web"}})
	b.ReportAllocs()
	for b.Loop() {
		if v := p.Admit(v, a); v.Deny != nil {
			b.Fatal(v.Deny)
		}
	}
}

// BenchmarkNew checks a configuration of 100,000 prefixes.
func BenchmarkNew(b *testing.B) {
	c := house()
	c.Domains[0].Prefixes = append(manyPrefixes(100000), c.Domains[0].Prefixes...)
	for b.Loop() {
		mustNew(b, c)
	}
}

// fullIndex holds n mitigations of two prefixes and a name each.
func fullIndex(n int) (*Index[dots.MitigationKey], []Expanded) {
	x := NewIndex(compareKey)
	list := make([]Expanded, n)
	for i, p := range manyPrefixes(n) {
		second := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 16), byte(i >> 8), byte(i)}), 64)
		list[i] = Expanded{Prefixes: []netip.Prefix{p, second}, Names: []string{fmt.Sprintf("n%d.example.com", i)}}
		x.Insert(keyOf(fmt.Sprint(i%100), uint32(i)), "acme", list[i])
	}
	return x, list
}

// BenchmarkIndexOverlaps asks among 100, 10,000 and 100,000 mitigations: the cost must not grow with the table.
func BenchmarkIndexOverlaps(b *testing.B) {
	for _, n := range []int{100, 10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x, list := fullIndex(n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if got := x.Overlaps("acme", list[i%n]); len(got) != 1 {
					b.Fatal(got)
				}
				i++
			}
		})
	}
}

// BenchmarkIndexReplace takes a mitigation out of 10,000 and puts it in again.
func BenchmarkIndexReplace(b *testing.B) {
	x, list := fullIndex(10000)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		k := i % 10000
		x.Insert(keyOf(fmt.Sprint(k%100), uint32(k)), "acme", list[k])
		i++
	}
}

// wide is a domain of 100,000 prefixes, all mapped one by one to others, of which every other one is of a provider.
func wide() Config {
	c := estate()
	own := manyPrefixes(100000)
	c.Domains[0].Prefixes, c.Domains[0].Aliases, c.Domains[0].URIs = own, nil, nil
	for i, p := range own {
		b := p.Addr().As4()
		out := netip.PrefixFrom(netip.AddrFrom4([4]byte{b[0] + 90, b[1], b[2], b[3]}), p.Bits())
		c.Domains[0].NAT = append(c.Domains[0].NAT, Mapping{Inside: p, Outside: out})
		c.Uplinks[i%2].Prefixes = append(c.Uplinks[i%2].Prefixes, out)
	}
	return c
}

// BenchmarkAdmitTranslated decides on a request of two prefixes of two providers through 100,000 mappings.
func BenchmarkAdmitTranslated(b *testing.B) {
	c := wide()
	p := mustNew(b, c)
	a := ask(dots.Target{Prefixes: []netip.Prefix{c.Domains[0].Prefixes[500], c.Domains[0].Prefixes[99999]}})
	b.ReportAllocs()
	for b.Loop() {
		if v := p.Admit(&fakeView{}, a); v.Deny != nil {
			b.Fatal(v.Deny)
		}
	}
}

// BenchmarkPlaces finds the places of a mitigation: by failover, in a farm, and by 100,000 prefixes of two providers.
func BenchmarkPlaces(b *testing.B) {
	farm := estate()
	farm.Domains[0].Uplinks = []string{"farm", "north"}
	for name, c := range map[string]Config{"failover": estate(), "farm": farm, "providers": wide()} {
		b.Run(name, func(b *testing.B) {
			p := mustNew(b, c)
			own := c.Domains[0].Prefixes
			g := p.Admit(&fakeView{}, ask(dots.Target{Prefixes: []netip.Prefix{own[0], own[len(own)-1]}})).Grant
			links := linksOf("")
			b.ReportAllocs()
			for b.Loop() {
				if len(p.Places(links, Course{Grant: g})) == 0 {
					b.Fatal("nowhere")
				}
			}
		})
	}
}

// BenchmarkPlacesFarm finds the server of a client in farms of 3, 16 and 64.
func BenchmarkPlacesFarm(b *testing.B) {
	for _, n := range []int{3, 16, 64} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			c := estate()
			c.Farms[0].Members = nil
			for i := range n {
				name := fmt.Sprint("server", i)
				c.Uplinks = append(c.Uplinks, Uplink{Name: name, CUIDMode: CUIDPerClient})
				c.Farms[0].Members = append(c.Farms[0].Members, name)
			}
			c.Domains[0].Uplinks = []string{"farm"}
			p := mustNew(b, c)
			g := p.Admit(&fakeView{}, ask(dots.Target{Prefixes: c.Domains[0].Prefixes[:1]})).Grant
			links := linksOf("")
			b.ReportAllocs()
			for b.Loop() {
				if len(p.Places(links, Course{Grant: g})) != 1 {
					b.Fatal("not at one place")
				}
			}
		})
	}
}

// BenchmarkNeighbourhood arranges 1 to 1,000 shares that overlap a newcomer's: of the same target, and of targets beside each other.
func BenchmarkNeighbourhood(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		crowd, apart := raw(prefixes("10.0.0.0/24")...), many(n)
		var same, beside []Share
		var legs []Standing
		for i := range n {
			same = append(same, Share{keyOf(fmt.Sprint(i), 1), crowd})
			beside = append(beside, Share{keyOf(fmt.Sprint(i), 1), raw(apart[i])})
			legs = append(legs, Standing{Footprint: raw(apart[i])})
		}
		wider := Share{keyOf("new", 1), raw(prefixes("10.0.0.0/23")...)}
		all := Share{keyOf("new", 1), raw(prefixes("10.0.0.0/8")...)}
		for _, bb := range []struct {
			name     string
			standing []Standing
			shares   []Share
		}{
			{"same", []Standing{{Footprint: crowd}}, append(same, Share{keyOf("new", 1), crowd})},
			{"grows", []Standing{{Footprint: crowd}}, append(same[:n:n], wider)},
			{"taken in", legs, append(beside, all)},
		} {
			b.Run(fmt.Sprintf("%s/shares=%d", bb.name, n), func(b *testing.B) {
				for b.Loop() {
					if len(Arrange(bb.standing, bb.shares, nil)) == 0 {
						b.Fatal("no leg")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/share")
			})
		}
	}
}

// parted maps 10.0.0.0/8, in n parts that lie the other way round outside, of two providers in turn.
func parted(n int) Config {
	c := inner()
	for i := range n {
		out := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 4), byte(i<<4) ^ 0x10, 0}), 20)
		c.Domains[0].NAT = append(c.Domains[0].NAT, Mapping{Inside: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 4), byte(i << 4), 0}), 20), Outside: out})
		c.Uplinks[i/2%2].Prefixes = append(c.Uplinks[i/2%2].Prefixes, out)
	}
	c.Domains[0].Uplinks = []string{"north", "south"}
	return c
}

// BenchmarkAdmitWhole decides on the worst that one request can ask for: all of a domain that is cut into 4096 parts.
func BenchmarkAdmitWhole(b *testing.B) {
	p := mustNew(b, parted(4096))
	a := askPrefix("10.0.0.0/8")
	b.ReportAllocs()
	for b.Loop() {
		if v := p.Admit(&fakeView{}, a); v.Deny != nil {
			b.Fatal(v.Deny)
		}
	}
}

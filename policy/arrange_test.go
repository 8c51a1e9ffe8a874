package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// foot reads a target from words: prefixes, names, URIs, "tcp/80" or "udp/*", and "name=address" for where a name leads.
func foot(words string) Footprint {
	var f Footprint
	for w := range strings.FieldsSeq(words) {
		if name, addr, ok := strings.Cut(w, "="); ok {
			a := netip.MustParseAddr(addr)
			f.Expanded.Prefixes = append(f.Expanded.Prefixes, netip.PrefixFrom(a, a.BitLen()))
			w = name
		}
		switch p, err := netip.ParsePrefix(w); {
		case err == nil:
			f.Target.Prefixes = append(f.Target.Prefixes, p)
			f.Expanded.Prefixes = append(f.Expanded.Prefixes, p)
		case strings.HasPrefix(w, "https:"):
			u, _ := parseURI(w)
			f.Target.URIs = append(f.Target.URIs, w)
			f.Expanded.URIs = append(f.Expanded.URIs, u.String())
			f.Expanded.Names = append(f.Expanded.Names, u.host)
		case strings.HasPrefix(w, "tcp/"), strings.HasPrefix(w, "udp/"):
			f.Target = serve(f.Target, w)
		default:
			f.Target.FQDNs = append(f.Target.FQDNs, w)
			f.Expanded.Names = append(f.Expanded.Names, fqdnKey(w))
		}
	}
	f.Expanded = f.Expanded.normal()
	return f
}

// serve adds a port and a protocol.
func serve(t dots.Target, word string) dots.Target {
	t.Protocols = append(t.Protocols, map[string]uint8{"tcp": 6, "udp": 17}[word[:3]])
	if port := word[4:]; port != "*" {
		var n uint16
		if _, err := fmt.Sscan(port, &n); err != nil {
			panic(err)
		}
		t.Ports = append(t.Ports, dots.PortRange{Lower: n, Upper: n})
	}
	return t
}

// arranged writes down what Arrange says: "target <- what it keeps (=n) or replaces (n,m) : members".
func arranged(got []Bundle) []string {
	var out []string
	for _, b := range got {
		var words []string
		for _, p := range b.Target.Prefixes {
			words = append(words, p.String())
		}
		words = append(words, b.Target.FQDNs...)
		words = append(words, b.Target.URIs...)
		for _, p := range b.Target.Protocols {
			words = append(words, fmt.Sprint("proto", p))
		}
		for _, p := range b.Target.Ports {
			words = append(words, fmt.Sprintf("%d-%d", p.Lower, p.Upper))
		}
		switch {
		case b.Keeps >= 0:
			words = append(words, fmt.Sprintf("<- =%d", b.Keeps))
		case len(b.Replaces) > 0:
			words = append(words, "<- "+strings.Trim(strings.ReplaceAll(fmt.Sprint(b.Replaces), " ", ","), "[]"))
		}
		words = append(words, ":")
		for _, m := range b.Members {
			words = append(words, m.Client.Name)
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}

// most lets a datagram hold so many elements.
func most(n int) func(dots.Target) bool {
	return func(t dots.Target) bool { return len(t.Prefixes)+len(t.FQDNs)+len(t.URIs) <= n }
}

// TestArrange goes through the cases by name. A share is "client: target"; a standing leg that begins with "!" is fixed.
func TestArrange(t *testing.T) {
	tests := []struct {
		name     string
		standing []string
		shares   []string
		most     int // 0: everything fits
		want     []string
	}{
		{"nothing", nil, nil, 0, nil},
		{"the first", nil, []string{"a: 10.0.0.9/32 10.0.0.1/32"}, 0, []string{"10.0.0.1/32 10.0.0.9/32 : a"}},
		{"one inside another is dropped", nil, []string{"a: 10.0.0.0/24 10.0.0.1/32"}, 0, []string{"10.0.0.0/24 : a"}},
		{
			"halves are not made whole, since nobody asked for the whole", nil,
			[]string{"a: 10.0.0.0/25 10.0.0.128/25"},
			0,
			[]string{"10.0.0.0/25 10.0.0.128/25 : a"},
		},
		{
			"disjoint ones stand apart",
			[]string{"10.0.0.1/32"},
			[]string{"a: 10.0.0.1/32", "b: 10.0.0.2/32"},
			0,
			[]string{"10.0.0.1/32 <- =0 : a", "10.0.0.2/32 : b"},
		},
		{"the same twice", []string{"10.0.0.1/32"}, []string{"a: 10.0.0.1/32", "b: 10.0.0.1/32"}, 0, []string{"10.0.0.1/32 <- =0 : a b"}},
		{
			"newcomers that overlap", nil,
			[]string{"a: 10.0.0.1/32 10.0.0.2/32", "b: 10.0.0.2/32 10.0.0.3/32"},
			0,
			[]string{"10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 : a b"},
		},
		{
			"AB and CD, and then BC: all is covered",
			[]string{"10.0.0.1/32 10.0.0.2/32", "10.0.0.3/32 10.0.0.4/32"},
			[]string{"a: 10.0.0.1/32 10.0.0.2/32", "b: 10.0.0.3/32 10.0.0.4/32", "c: 10.0.0.2/32 10.0.0.3/32"},
			0,
			[]string{"10.0.0.1/32 10.0.0.2/32 <- =0 : a c", "10.0.0.3/32 10.0.0.4/32 <- =1 : b c"},
		},
		{
			"AB and CD, and then BC with other ports: each is widened",
			[]string{"10.0.0.1/32 10.0.0.2/32 tcp/80", "10.0.0.3/32 10.0.0.4/32 tcp/80"},
			[]string{"a: 10.0.0.1/32 10.0.0.2/32 tcp/80", "b: 10.0.0.3/32 10.0.0.4/32 tcp/80", "c: 10.0.0.2/32 10.0.0.3/32 udp/53"},
			0,
			[]string{"10.0.0.1/32 10.0.0.2/32 proto6 proto17 53-53 80-80 <- 0 : a c", "10.0.0.3/32 10.0.0.4/32 proto6 proto17 53-53 80-80 <- 1 : b c"},
		},
		{
			"AB and CD, and then BCX: X stands apart",
			[]string{"10.0.0.1/32 10.0.0.2/32", "10.0.0.3/32 10.0.0.4/32"},
			[]string{"a: 10.0.0.1/32 10.0.0.2/32", "b: 10.0.0.3/32 10.0.0.4/32", "c: 10.0.0.2/32 10.0.0.3/32 10.0.0.9/32"},
			0,
			[]string{"10.0.0.1/32 10.0.0.2/32 <- =0 : a c", "10.0.0.3/32 10.0.0.4/32 <- =1 : b c", "10.0.0.9/32 : c"},
		},
		{
			"BC with CD and AB gone: each shrinks for itself",
			[]string{"10.0.0.1/32 10.0.0.2/32", "10.0.0.3/32 10.0.0.4/32"},
			[]string{"c: 10.0.0.2/32 10.0.0.3/32"},
			0,
			[]string{"10.0.0.2/32 <- 0 : c", "10.0.0.3/32 <- 1 : c"},
		},
		{"inside", []string{"10.0.0.0/24"}, []string{"a: 10.0.0.0/24", "b: 10.0.0.7/32"}, 0, []string{"10.0.0.0/24 <- =0 : a b"}},
		{
			"inside, with a port more",
			[]string{"10.0.0.0/24 tcp/80"},
			[]string{"a: 10.0.0.0/24 tcp/80", "b: 10.0.0.7/32 tcp/81"},
			0,
			[]string{"10.0.0.0/24 proto6 80-81 <- 0 : a b"},
		},
		{"inside, with all ports", []string{"10.0.0.0/24 tcp/80"}, []string{"a: 10.0.0.0/24 tcp/80", "b: 10.0.0.7/32"}, 0, []string{"10.0.0.0/24 <- 0 : a b"}},
		{
			"over three that lie inside",
			[]string{"10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"},
			[]string{"a: 10.0.0.1/32", "b: 10.0.0.2/32", "c: 10.0.0.3/32", "d: 10.0.0.0/24"},
			0,
			[]string{"10.0.0.0/24 <- 0,1,2 : a b c d"},
		},
		{
			"over one inside and one across",
			[]string{"10.0.0.1/32", "10.0.0.2/32 10.9.0.0/16"},
			[]string{"a: 10.0.0.1/32", "b: 10.0.0.2/32 10.9.0.0/16", "d: 10.0.0.0/30"},
			0,
			[]string{"10.0.0.0/31 10.0.0.3/32 <- 0 : a d", "10.0.0.2/32 10.9.0.0/16 <- =1 : b d"},
		},
		{
			"across one: together",
			[]string{"10.0.0.2/32 10.9.0.0/16"},
			[]string{"b: 10.0.0.2/32 10.9.0.0/16", "d: 10.0.0.0/30"},
			0,
			[]string{"10.0.0.0/30 10.9.0.0/16 <- 0 : b d"},
		},
		{
			"across one, too much together: cut",
			[]string{"10.0.0.2/32 10.9.0.0/16"},
			[]string{"b: 10.0.0.2/32 10.9.0.0/16", "d: 10.0.0.0/30 10.8.0.0/16"},
			2,
			[]string{"10.0.0.2/32 10.9.0.0/16 <- =0 : b d", "10.0.0.0/31 10.0.0.3/32 : d", "10.8.0.0/16 : d"},
		},
		{
			"two newcomers, too much for one datagram", nil,
			[]string{"a: 10.0.0.1/32 10.0.0.3/32 10.0.0.5/32 10.0.0.7/32 10.0.0.9/32"},
			2,
			[]string{"10.0.0.1/32 10.0.0.3/32 : a", "10.0.0.5/32 10.0.0.7/32 : a", "10.0.0.9/32 : a"},
		},
		{"not even one prefix fits: not split", nil, []string{"a: 10.0.0.1/32 10.0.0.3/32"}, -1, []string{"10.0.0.1/32 10.0.0.3/32 : a"}},
		{"leaves", []string{"10.0.0.1/32 10.0.0.2/32 tcp/80 udp/53"}, []string{"a: 10.0.0.1/32 tcp/80"}, 0, []string{"10.0.0.1/32 proto6 80-80 <- 0 : a"}},
		{
			"leaves, and the others are disjoint: not taken apart",
			[]string{"10.0.0.0/24"},
			[]string{"a: 10.0.0.1/32 tcp/80", "b: 10.0.0.2/32 udp/53"},
			0,
			[]string{"10.0.0.1/32 10.0.0.2/32 proto6 proto17 53-53 80-80 <- 0 : a b"},
		},
		{
			"leaves, and the others do not fit: not taken apart either",
			[]string{"10.0.0.0/24"},
			[]string{"a: 10.0.0.1/32", "b: 10.0.0.3/32", "c: 10.0.0.5/32"},
			2,
			[]string{"10.0.0.1/32 10.0.0.3/32 10.0.0.5/32 <- 0 : a b c"},
		},
		{"leaves only ports", []string{"10.0.0.1/32 tcp/80 tcp/443"}, []string{"a: 10.0.0.1/32 tcp/443"}, 0, []string{"10.0.0.1/32 proto6 443-443 <- 0 : a"}},
		{"all leave", []string{"10.0.0.1/32", "www.example"}, nil, 0, nil},
		{"one of two families leaves", []string{"10.0.0.1/32 2001:db8::/64"}, []string{"a: 2001:db8::/64"}, 0, []string{"2001:db8::/64 <- 0 : a"}},
		{"moves to what is next to it", []string{"10.0.0.0/25"}, []string{"a: 10.0.0.128/25"}, 0, []string{"10.0.0.128/25 : a"}},
		{
			"moves to what is across: replaces",
			[]string{"10.0.0.0/25"},
			[]string{"a: 10.0.0.64/26 10.0.0.128/25"},
			0,
			[]string{"10.0.0.64/26 10.0.0.128/25 <- 0 : a"},
		},
		{
			"fixed covers its part",
			[]string{"!10.0.0.0/25", "10.0.1.0/24"},
			[]string{"a: 10.0.0.0/24 10.0.1.0/24"},
			0,
			[]string{"10.0.0.128/25 10.0.1.0/24 <- 1 : a"},
		},
		{"fixed covers names", []string{"!www.example=10.0.0.1"}, []string{"a: www.example=10.0.0.1 10.0.0.2/32"}, 0, []string{"10.0.0.2/32 : a"}},
		{
			"kept as it is written",
			[]string{"10.0.0.0/25 10.0.0.128/25 WWW.example. tcp/81 tcp/80"},
			[]string{"a: 10.0.0.0/24 www.example tcp/80 tcp/81"},
			0,
			[]string{"10.0.0.0/25 10.0.0.128/25 WWW.example. proto6 proto6 81-81 80-80 <- =0 : a"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { testArrange(t, tt.standing, tt.shares, tt.most, tt.want) })
	}
}

func testArrange(t *testing.T, standing, shares []string, size int, want []string) {
	t.Helper()
	var s []Standing
	for _, words := range standing {
		words, fixed := strings.CutPrefix(words, "!")
		s = append(s, Standing{Footprint: foot(words), Fixed: fixed})
	}
	var w []Share
	for _, line := range shares {
		client, words, _ := strings.Cut(line, ": ")
		w = append(w, Share{Key: keyOf(client, 1), Footprint: foot(words)})
	}
	var fits func(dots.Target) bool
	if size != 0 {
		fits = most(size)
	}
	if s := diff(want, arranged(Arrange(s, w, fits))); s != "" {
		t.Error(s)
	}
}

// TestArrangeNames: a name cannot be cut, and goes with what it leads to.
func TestArrangeNames(t *testing.T) {
	tests := []struct {
		name     string
		standing []string
		shares   []string
		most     int
		want     []string
	}{
		{"the same name, written in two ways", nil, []string{"a: www.example=10.0.0.1", "b: WWW.Example=10.0.0.1"}, 0, []string{"WWW.Example : a b"}},
		{
			"a name and a URI of it",
			[]string{"www.example=10.0.0.1"},
			[]string{"a: www.example=10.0.0.1", "b: https://www.example/x=10.0.0.1"},
			0,
			[]string{"www.example https://www.example/x <- 0 : a b"},
		},
		{
			"two names of one address",
			[]string{"www.example=10.0.0.1"},
			[]string{"a: www.example=10.0.0.1", "b: mail.example=10.0.0.1"},
			0,
			[]string{"mail.example www.example <- 0 : a b"},
		},
		{
			"two names of different addresses",
			[]string{"www.example=10.0.0.1"},
			[]string{"a: www.example=10.0.0.1", "b: mail.example=10.0.0.2"},
			0,
			[]string{"www.example <- =0 : a", "mail.example : b"},
		},
		{
			"a name that two legs have addresses of takes in both, whatever the size",
			[]string{"10.0.0.0/25 10.9.0.0/16", "10.0.1.0/24 10.8.0.0/16"},
			[]string{"a: 10.0.0.0/25 10.9.0.0/16", "b: 10.0.1.0/24 10.8.0.0/16", "c: www.example=10.0.0.1 www.example=10.0.1.1"},
			2,
			[]string{"10.0.0.0/25 10.0.1.0/24 10.8.0.0/16 10.9.0.0/16 www.example <- 0,1 : a b c"},
		},
		{
			"over the address of a name: together",
			[]string{"www.example=10.0.0.1", "10.0.0.9/32 10.9.0.0/16"},
			[]string{"a: www.example=10.0.0.1", "b: 10.0.0.9/32 10.9.0.0/16", "c: 10.0.0.0/29 10.0.0.8/31"},
			0,
			[]string{"10.0.0.0/29 10.0.0.8/32 www.example <- 0 : a c", "10.0.0.9/32 10.9.0.0/16 <- =1 : b c"},
		},
		{
			"over the address of a name, too much together: that address joins it",
			[]string{"www.example=10.0.0.1", "10.0.0.2/32 10.9.0.0/16"},
			[]string{"a: www.example=10.0.0.1", "b: 10.0.0.2/32 10.9.0.0/16", "c: 10.0.0.0/30"},
			2,
			[]string{"10.0.0.1/32 www.example <- 0 : a c", "10.0.0.2/32 10.9.0.0/16 <- =1 : b c", "10.0.0.0/32 10.0.0.3/32 : c"},
		},
		{
			"asked for by name and by address: not cut apart",
			[]string{"10.0.0.1/32 10.9.0.0/16"},
			[]string{"a: 10.0.0.1/32 10.9.0.0/16", "b: www.example=10.0.0.1 10.0.0.1/32"},
			0,
			[]string{"10.0.0.1/32 10.9.0.0/16 www.example <- 0 : a b"},
		},
		{"leads elsewhere now, where nobody is", []string{"www.example=10.0.0.1"}, []string{"a: www.example=10.0.0.2"}, 0, []string{"www.example <- =0 : a"}},
		{
			"leads into another leg now",
			[]string{"www.example=10.0.0.1", "10.0.0.0/30"},
			[]string{"a: www.example=10.0.0.2", "b: 10.0.0.0/30"},
			0,
			[]string{"10.0.0.0/30 www.example <- 0,1 : a b"},
		},
		{
			"leads into what its leg's former members had",
			[]string{"www.example=10.0.0.1", "10.0.0.0/30"},
			[]string{"a: www.example=10.0.0.2"},
			0,
			[]string{"www.example <- =0 : a"},
		},
		{"the name leaves, the prefix stays", []string{"10.0.0.0/24 www.example=10.0.0.1"}, []string{"a: 10.0.0.0/24"}, 0, []string{"10.0.0.0/24 <- 0 : a"}},
		{
			"the name leaves, and its address is wanted by another now",
			[]string{"10.0.0.8/32 www.example=10.0.0.1"},
			[]string{"a: 10.0.0.8/32", "b: 10.0.0.1/32"},
			0,
			[]string{"10.0.0.1/32 10.0.0.8/32 <- 0 : a b"},
		},
		{
			"a newcomer's name and prefixes over one datagram", nil,
			[]string{"a: www.example=10.0.0.1 10.0.1.0/24 10.0.3.0/24 10.0.5.0/24"},
			2,
			[]string{"www.example : a", "10.0.1.0/24 10.0.3.0/24 : a", "10.0.5.0/24 : a"},
		},
		{"a newcomer's name and prefixes in one", nil, []string{"a: www.example=10.0.0.1 10.0.1.0/24"}, 0, []string{"10.0.1.0/24 www.example : a"}},
		{
			"a name without an address",
			[]string{"gone.example"},
			[]string{"a: gone.example", "b: 10.0.0.0/8"},
			0,
			[]string{"gone.example <- =0 : a", "10.0.0.0/8 : b"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { testArrange(t, tt.standing, tt.shares, tt.most, tt.want) })
	}
}

// TestArrangeBehind: what stands until a leg is answered is deleted with the first request that overlaps it, so that the leg has to go along.
func TestArrangeBehind(t *testing.T) {
	pending := Standing{Footprint: foot("10.0.0.1/32"), Behind: foot("10.0.0.1/32 10.0.0.8/29 www.example").Expanded}
	beside := Standing{Footprint: foot("10.0.1.0/24")}
	old := Share{keyOf("a", 1), foot("10.0.0.1/32")}
	other := Share{keyOf("b", 1), foot("10.0.1.0/24")}
	tests := []struct {
		name, newcomer string
		want           []string
	}{
		{"beside it", "10.0.0.2/32", []string{"10.0.0.1/32 <- =0 : a", "10.0.1.0/24 <- =1 : b", "10.0.0.2/32 : c"}},
		{"over a part of it", "10.0.0.9/32", []string{"10.0.0.1/32 10.0.0.9/32 <- 0 : a c", "10.0.1.0/24 <- =1 : b"}},
		{
			"over a part of it and of another", "10.0.0.9/32 10.0.1.1/32 10.0.2.1/32",
			[]string{"10.0.0.1/32 10.0.0.9/32 <- 0 : a c", "10.0.1.0/24 <- =1 : b c", "10.0.2.1/32 : c"},
		},
		{"its name", "www.example=10.0.3.1", []string{"10.0.0.1/32 www.example <- 0 : a c", "10.0.1.0/24 <- =1 : b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Arrange([]Standing{pending, beside}, []Share{old, other, {keyOf("c", 1), foot(tt.newcomer)}}, nil)
			if s := diff(tt.want, arranged(got)); s != "" {
				t.Error(s)
			}
		})
	}
}

// many makes n hosts, each second address.
func many(n int) []netip.Prefix {
	list := make([]netip.Prefix, n)
	for i := range list {
		list[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 15), byte(i >> 7), byte(i << 1)}), 32)
	}
	return list
}

func raw(list ...netip.Prefix) Footprint {
	return Footprint{Target: dots.Target{Prefixes: list}, Expanded: Expanded{Prefixes: list}}
}

// TestArrangeSizes goes to what a message may list.
func TestArrangeSizes(t *testing.T) {
	wide := raw(netip.MustParsePrefix("10.0.0.0/8"))
	t.Run("a newcomer of 2500 prefixes", func(t *testing.T) {
		got := Arrange(nil, []Share{{keyOf("a", 1), raw(many(2500)...)}}, nil)
		if len(got) != 3 || len(got[0].Target.Prefixes) != 1024 || len(got[2].Target.Prefixes) != 452 {
			t.Errorf("%d legs", len(got))
		}
	})
	t.Run("shrinks from one to 2500", func(t *testing.T) {
		got := Arrange([]Standing{{Footprint: wide}}, []Share{{keyOf("a", 1), raw(many(2500)...)}}, most(10))
		if len(got) != 3 || !slices.Equal(got[0].Replaces, []int{0}) || len(got[1].Replaces)+len(got[2].Replaces) > 0 || len(got[1].Target.Prefixes) != 1024 {
			t.Errorf("%d legs: %v", len(got), got)
		}
	})
	t.Run("shrinks from one to 2500 and a name, whose address stays with it", func(t *testing.T) {
		was := raw(netip.MustParsePrefix("10.0.0.0/8"))
		was.Expanded.Names, was.Target.FQDNs = []string{"www.example"}, []string{"www.example"}
		list := many(2501)
		last := list[2500]
		shares := []Share{{keyOf("a", 1), raw(list[:2500]...)}, {keyOf("b", 1), foot("www.example=" + list[2400].Addr().String())}, {keyOf("c", 1), raw(last)}}
		got := Arrange([]Standing{{Footprint: was}}, shares, nil)
		if len(got) != 3 || !holds(got[0].Target.Prefixes, list[2400]) || len(got[0].Target.FQDNs) != 1 || len(got[1].Target.FQDNs) > 0 {
			t.Fatalf("%d legs: %v", len(got), arranged(got))
		}
		var members []string
		for _, l := range arranged(got) {
			members = append(members, l[strings.LastIndex(l, ":"):])
		}
		if s := diff([]string{": a b", ": a", ": a c"}, members); s != "" {
			t.Error(s)
		}
	})
	t.Run("one leg takes no more than a message may list", func(t *testing.T) {
		list := many(1100)
		got := Arrange([]Standing{{Footprint: raw(list[:1000]...)}}, []Share{{keyOf("a", 1), raw(list[:1000]...)}, {keyOf("b", 1), raw(list[999:]...)}}, nil)
		if len(got) != 2 || got[0].Keeps != 0 || len(got[1].Target.Prefixes) != 100 {
			t.Errorf("%d legs: %v", len(got), arranged(got))
		}
	})
	t.Run("around 20 legs that go beyond it: taken in, since cutting would give 1800 pieces", func(t *testing.T) {
		var standing []Standing
		shares := []Share{{keyOf("wide", 1), raw(netip.MustParsePrefix("2001:db8::/32"))}}
		for i := range 20 {
			inside := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(8 * i), 15: 1})
			f := raw(many(20)[i], netip.PrefixFrom(inside, 128))
			standing = append(standing, Standing{Footprint: f})
			shares = append(shares, Share{keyOf(fmt.Sprint(i), 1), f})
		}
		got := Arrange(standing, shares, most(10))
		if len(got) != 1 || len(got[0].Replaces) != 20 || len(got[0].Target.Prefixes) != 21 {
			t.Errorf("%d legs: %v", len(got), arranged(got))
		}
		if got = Arrange(standing[:3], shares[:4], most(3)); len(got) < 90 { // 270 pieces are cut
			t.Errorf("%d legs: %v", len(got), arranged(got))
		}
	})
	t.Run("more ports than a message may list are all", func(t *testing.T) {
		var shares []Share
		for c := range 2 {
			f := raw(netip.MustParsePrefix("10.0.0.1/32"))
			for i := range 700 {
				port := uint16(4*i + 2*c)
				f.Target.Ports = append(f.Target.Ports, dots.PortRange{Lower: port, Upper: port})
			}
			shares = append(shares, Share{keyOf(fmt.Sprint(c), 1), f})
		}
		if got := Arrange(nil, shares, nil); len(got) != 1 || len(got[0].Target.Ports) > 0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("more names than a message may list, all of one address", func(t *testing.T) {
		var shares []Share
		for i := range 1100 {
			shares = append(shares, Share{keyOf(fmt.Sprint(i), 1), foot(fmt.Sprintf("n%d.example=10.0.0.1", i))})
		}
		got := Arrange(nil, shares, nil)
		if len(got) != 1 || len(got[0].Target.FQDNs) != 1024 || len(got[0].Members) != 1100 || len(got[0].Target.Prefixes) != 1 {
			t.Fatalf("%d legs", len(got))
		}
		again := Arrange([]Standing{{Footprint: got[0].Footprint}}, shares, nil)
		if len(again) != 1 || again[0].Keeps != 0 {
			t.Errorf("%v", again)
		}
	})
}

// BenchmarkArrange arranges 1,000 shares and 1,000 standing legs: at rest, all at once, and under one wide newcomer.
func BenchmarkArrange(b *testing.B) {
	var standing []Standing
	var shares []Share
	for i, p := range many(1000) {
		f := raw(p, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i)}), 64))
		f.Expanded = f.Expanded.normal()
		standing = append(standing, Standing{Footprint: f})
		shares = append(shares, Share{keyOf(fmt.Sprint(i), 1), f})
	}
	wide := append(slices.Clone(shares), Share{keyOf("wide", 1), raw(prefixes("10.0.0.0/8", "2001:db8::/32")...)})
	across := append(slices.Clone(shares), Share{keyOf("across", 1), raw(prefixes("10.0.0.0/8")...)})
	for _, bb := range []struct {
		name     string
		standing []Standing
		shares   []Share
	}{{"one", standing[:1], shares[:2]}, {"rest", standing, shares}, {"new", nil, shares}, {"wide", standing, wide}, {"across", standing, across}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Arrange(bb.standing, bb.shares, most(60))
			}
		})
	}
}

package policy

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

func keyOf(name string, mid uint32) dots.MitigationKey {
	return dots.MitigationKey{Client: dots.Client{Name: name, CUID: "c-" + name}, MID: mid}
}

func TestIndex(t *testing.T) {
	x := NewIndex(compareKey)
	x.Insert(keyOf("b", 2), "acme", Expanded{Prefixes: prefixes("198.51.100.0/24"), Names: []string{"www.example.com"}})
	x.Insert(keyOf("a", 9), "acme", Expanded{Prefixes: prefixes("198.51.100.0/28")})
	x.Insert(keyOf("a", 1), "acme", Expanded{Prefixes: prefixes("198.51.100.0/24"), URIs: []string{"u"}, Aliases: []string{"web"}})
	x.Insert(keyOf("z", 1), "other", Expanded{Prefixes: prefixes("198.51.100.0/24"), Names: []string{"www.example.com"}})
	tests := []struct {
		name   string
		domain string
		target Expanded
		want   []dots.MitigationKey
	}{
		{"exact", "acme", Expanded{Prefixes: prefixes("198.51.100.0/28")}, []dots.MitigationKey{keyOf("a", 1), keyOf("a", 9), keyOf("b", 2)}},
		{"host", "acme", Expanded{Prefixes: prefixes("198.51.100.200/32")}, []dots.MitigationKey{keyOf("a", 1), keyOf("b", 2)}},
		{"wider", "acme", Expanded{Prefixes: prefixes("198.51.0.0/16")}, []dots.MitigationKey{keyOf("a", 1), keyOf("a", 9), keyOf("b", 2)}},
		{"beside", "acme", Expanded{Prefixes: prefixes("198.51.101.0/24", "2001:db8::/32")}, nil},
		{"name", "acme", Expanded{Names: []string{"www.example.com"}}, []dots.MitigationKey{keyOf("b", 2)}},
		{"name is no alias", "acme", Expanded{Aliases: []string{"www.example.com"}}, nil},
		{"uri and alias of one", "acme", Expanded{URIs: []string{"u"}, Aliases: []string{"web"}}, []dots.MitigationKey{keyOf("a", 1)}},
		{"another domain", "other", Expanded{Prefixes: prefixes("198.51.100.1/32")}, []dots.MitigationKey{keyOf("z", 1)}},
		{"unknown domain", "nobody", Expanded{Prefixes: prefixes("198.51.100.1/32")}, nil},
		{"nothing", "acme", Expanded{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if s := diff(tt.want, x.Overlaps(tt.domain, tt.target)); s != "" {
				t.Error(s)
			}
			for _, client := range []string{"", "a", "aa", "b", "z"} {
				own := slices.DeleteFunc(slices.Clone(tt.want), func(k dots.MitigationKey) bool { return k.Client.Name != client })
				got := x.OverlapsIn(tt.domain, tt.target, func(k dots.MitigationKey) int { return strings.Compare(k.Client.Name, client) })
				if len(own)+len(got) > 0 && diff(own, got) != "" {
					t.Errorf("of client %q: %v, want %v", client, got, own)
				}
			}
		})
	}
}

func TestIndexReplacesAndDeletes(t *testing.T) {
	x := NewIndex(compareKey)
	k := keyOf("a", 1)
	old := Expanded{Prefixes: prefixes("198.51.100.0/24"), Names: []string{"old.example"}}
	x.Insert(k, "acme", old)
	x.Insert(k, "acme", old)
	if x.Len() != 1 {
		t.Errorf("%d entries after the same insert twice", x.Len())
	}
	x.Insert(k, "moved", Expanded{Prefixes: prefixes("203.0.113.0/24")})
	if got := x.Overlaps("acme", old); len(got) > 0 {
		t.Errorf("the former target is found: %v", got)
	}
	if got := x.Overlaps("moved", Expanded{Prefixes: prefixes("203.0.113.1/32")}); len(got) != 1 || x.Len() != 1 {
		t.Errorf("%v, %d entries", got, x.Len())
	}
	if e, ok := x.Expanded(k); !ok || e.Prefixes[0] != prefixes("203.0.113.0/24")[0] {
		t.Errorf("%v %v", e, ok)
	}
	x.Insert(keyOf("b", 1), "moved", Expanded{Aliases: []string{"stays"}})
	x.Delete(k)
	x.Delete(k)
	if d := x.domains["moved"]; d.prefixes.Size() != 0 || len(d.texts) != 1 {
		t.Errorf("%d prefixes and %d texts are left of what was deleted", d.prefixes.Size(), len(d.texts))
	}
	x.Delete(keyOf("b", 1))
	x.Delete(keyOf("never", 1))
	if _, ok := x.Expanded(k); ok || x.Len() != 0 || len(x.domains) != 0 {
		t.Errorf("%d entries, %d domains are left", x.Len(), len(x.domains))
	}
}

// naive is the oracle: a list that is searched from end to end.
type naive map[dots.MitigationKey]indexed

func (n naive) overlaps(domain string, e Expanded) []dots.MitigationKey {
	var found []dots.MitigationKey
	for k, v := range n {
		if v.domain == domain && v.expanded.Overlaps(e) {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, compareKey)
	return found
}

// randomExpanded draws from a small world, so that overlaps are frequent.
func randomExpanded(r *rand.Rand) Expanded {
	var e Expanded
	for range r.IntN(4) {
		a, bits := netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(256))}), 20+r.IntN(13)
		if r.IntN(3) == 0 {
			b := [16]byte{0x20, 1, 0xd, 0xb8, byte(r.IntN(2)), byte(r.IntN(4)), 15: byte(r.IntN(4))}
			a, bits = netip.AddrFrom16(b), 30+r.IntN(99)
		}
		e.Prefixes = append(e.Prefixes, netip.PrefixFrom(a, bits).Masked())
	}
	for range r.IntN(3) {
		e.Names = append(e.Names, fmt.Sprintf("n%d.example", r.IntN(30)))
	}
	if r.IntN(4) == 0 {
		e.URIs = append(e.URIs, fmt.Sprintf("n%d.example", r.IntN(5)))
	}
	if r.IntN(4) == 0 {
		e.Aliases = append(e.Aliases, fmt.Sprintf("n%d.example", r.IntN(5)))
	}
	return e.normal()
}

func TestIndexAgainstAnOracle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x, oracle := NewIndex(compareKey), naive{}
	found := 0
	for step := range 20000 {
		k := keyOf(fmt.Sprint(r.IntN(5)), uint32(r.IntN(40)))
		d := fmt.Sprint("domain", r.IntN(2))
		e := randomExpanded(r)
		switch r.IntN(4) {
		case 0:
			x.Delete(k)
			delete(oracle, k)
		case 1:
			x.Insert(k, d, e)
			oracle[k] = indexed{d, e}
		default:
			want := oracle.overlaps(d, e)
			found += len(want)
			if got := x.Overlaps(d, e); !slices.Equal(got, want) {
				t.Fatalf("step %d: overlaps of %v: %v, want %v", step, e, got, want)
			}
		}
		if x.Len() != len(oracle) {
			t.Fatalf("step %d: %d entries, want %d", step, x.Len(), len(oracle))
		}
	}
	if found < 10000 {
		t.Errorf("only %d overlaps were met: the test shows little", found)
	}
	for k := range oracle {
		x.Delete(k)
	}
	if x.Len() != 0 || len(x.domains) != 0 {
		t.Error("something is left after everything was deleted")
	}
}

// TestIndexOfLegs indexes something else than mitigations: lists come in the order that is given.
func TestIndexOfLegs(t *testing.T) {
	x := NewIndex(func(a, b uint32) int { return cmp.Compare(b, a) })
	whole := Expanded{Prefixes: prefixes("198.51.100.0/24")}
	for _, mid := range []uint32{7, 1 << 31, 3} {
		x.Insert(mid, "uplink a", whole)
	}
	x.Insert(5, "uplink b", whole)
	if got, want := x.Overlaps("uplink a", Expanded{Prefixes: prefixes("198.51.100.9/32")}), []uint32{1 << 31, 7, 3}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	x.Delete(7)
	if got, want := x.Overlaps("uplink a", whole), []uint32{1 << 31, 3}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v after one is gone", got, want)
	}
}

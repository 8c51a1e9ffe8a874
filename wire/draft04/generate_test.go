package draft04

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// generator makes random values that this dialect can say; the same seed makes the same values.
type generator struct{ *rand.Rand }

func generate(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 4))} }

// some makes a few values, and now and then many.
func some[T any](g generator, most int, one func() T) []T {
	n := g.IntN(4)
	if g.IntN(20) == 0 {
		n = g.IntN(most + 1)
	}
	var list []T
	for range n {
		list = append(list, one())
	}
	return list
}

func maybe[T any](g generator, one func() T) dots.Maybe[T] {
	if g.IntN(3) > 0 {
		return dots.Some(one())
	}
	return dots.Maybe[T]{}
}

// edge makes a number up to most, often at an edge of a length of CBOR.
func (g generator) edge(most uint64) uint64 {
	edges := []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxInt32, most}
	v := edges[g.IntN(len(edges))]
	if g.IntN(2) == 0 {
		v = g.Uint64()
	}
	if most == math.MaxUint64 {
		return v
	}
	return v % (most + 1)
}

func (g generator) id() uint32 { return uint32(g.edge(maxID)) }

func (g generator) lifetime() dots.Lifetime {
	if g.IntN(5) == 0 {
		return dots.Indefinite
	}
	return dots.Lifetime(1 + g.edge(math.MaxInt32-1))
}

// address makes an address that may be a target.
func (g generator) address() netip.Prefix {
	for {
		a := netip.AddrFrom4([4]byte{byte(g.Uint32()), byte(g.Uint32()), 0, byte(g.Uint32())})
		if g.IntN(2) == 0 {
			a = netip.AddrFrom16([16]byte{byte(g.Uint32()), byte(g.Uint32()), 15: byte(g.Uint32())})
		}
		if p := netip.PrefixFrom(a, a.BitLen()); wire.CheckTarget(p) == "" {
			return p
		}
	}
}

func (g generator) text() string {
	texts := []string{"web", "\u00e4\u20ac", "a b", "=", "0"}
	return texts[g.IntN(len(texts))]
}

func (g generator) name() string {
	names := []string{"a", "a.example", "www.example.com.", "1and1.example"}
	return names[g.IntN(len(names))]
}

// ports makes ranges of which no two begin the same, since such become one.
func (g generator) ports() (list []dots.PortRange) {
	seen := map[uint16]bool{}
	for range g.IntN(5) {
		lower := uint16(g.edge(math.MaxUint16))
		if !seen[lower] {
			list = append(list, dots.PortRange{Lower: lower, Upper: lower + uint16(g.edge(uint64(math.MaxUint16-lower)))})
		}
		seen[lower] = true
	}
	return list
}

func (g generator) target() dots.Target {
	return dots.Target{
		Prefixes: some(g, 40, g.address), Ports: g.ports(), Protocols: some(g, 20, func() uint8 { return uint8(1 + g.edge(254)) }),
		FQDNs: some(g, 20, g.name), URIs: some(g, 10, func() string { return "coaps://" + g.name() + ":5684/" }), Aliases: some(g, 10, g.text),
	}
}

func (g generator) mitigation() wire.Request {
	req := wire.Request{Op: wire.PutMitigation, MID: dots.Some(g.id()), Efficacy: g.IntN(4) == 0}
	m := dots.Request{MID: req.MID.Value, Target: g.target(), Lifetime: dots.Some(g.lifetime())}
	if m.Target.Empty() {
		m.Target.Aliases = []string{g.text()}
	}
	if req.Efficacy {
		m.Attack, m.Lifetime = dots.AttackStatus(1+g.IntN(2)), maybe(g, g.lifetime)
	}
	req.Mitigation = m
	return req
}

func (g generator) report() dots.Report {
	count := func() uint64 { return g.edge(math.MaxUint64) }
	r := dots.Report{
		MID: g.id(), Target: g.target(), Lifetime: g.lifetime(), Status: dots.Status(1 + g.IntN(5)),
		Start: maybe(g, func() uint64 { return g.edge(1 << 53) }),
		Counters: dots.Counters{
			BytesDropped: maybe(g, count), BytesPerSecond: maybe(g, count), PktsDropped: maybe(g, count), PktsPerSecond: maybe(g, count),
		},
	}
	for range g.IntN(3) { // wider prefixes go under a name, after the addresses
		r.Target.Prefixes = append(r.Target.Prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, byte(g.Uint32())}), 24))
	}
	return r
}

// config makes a configuration of current values, or with ranges.
func (g generator) config(ranges bool) dots.SessionConfig {
	var s dots.ConfigSet
	whole := func() uint16 { return uint16(g.edge(math.MaxInt16)) }
	seconds := func() dots.Decimal { return dots.Decimal(100 * g.edge(math.MaxInt16)) }
	factor := func() dots.Decimal { return dots.Decimal(100 + g.edge(300)) }
	for key := uint64(keyHeartbeatInterval); key <= keyMissingHBAllowed; key++ {
		if b := integers(key, &s); b != nil {
			*b = bounds(g, whole, ranges)
		}
		if b := decimals(key, &s); b != nil && key == keyAckTimeout {
			*b = bounds(g, seconds, ranges)
		} else if b != nil {
			*b = bounds(g, factor, ranges)
		}
	}
	s.HeartbeatInterval.Current = dots.Some(whole())
	c := flat(s)
	c.TriggerMitigation = maybe(g, func() bool { return g.IntN(2) == 0 })
	return c
}

func bounds[T any](g generator, one func() T, ranges bool) dots.Bounds[T] {
	b := dots.Bounds[T]{Current: maybe(g, one)}
	if ranges {
		b.Min, b.Max = maybe(g, one), maybe(g, one)
	}
	return b
}

const generations = 700

// What is said is understood as it was meant.
func TestGeneratedRequests(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		req := g.mitigation()
		switch g.IntN(5) {
		case 0:
			req = wire.Request{Op: wire.PutConfig, SID: dots.Some(g.edge(math.MaxInt32)), Config: g.config(false)}
		case 1:
			req = wire.Request{Op: wire.DeleteMitigation, MID: dots.Some(g.id())}
		}
		sent := encoded(t, req)
		equal(t, accepted(t, sent), req)
		sent.Payload = g.jumbled(decodeAny(t, sent.Payload), false)
		equal(t, accepted(t, sent), req)
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, sent.Payload)
		}
	}
}

// A server's answer is understood as it was meant, also where it has nulls, empty lists and keys of its own.
func TestGeneratedResponses(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		req, resp := figureRequest(), wire.Response{Code: dots.CodeContent}
		switch g.IntN(4) {
		case 0:
			req, resp.Config, resp.MaxAge = getConfig(), g.config(true), noAge()
		case 1:
			resp.Code, resp.Granted = dots.CodeCreated, dots.Some(wire.Granted{MID: g.id(), Lifetime: g.lifetime()})
		case 2:
			ttl := uint32(g.edge(math.MaxUint32))
			resp.Code, resp.MaxAge = dots.CodeUnavailable, dots.Some(ttl)
			resp.Redirect = dots.Some(dots.Redirect{Server: g.name(), Records: []string{"192.0.2.1", "2001:db8::1"}, TTLs: []uint32{ttl, math.MaxUint32}})
		default:
			req, resp.Reports = getAll(), []dots.Report{g.report(), g.report()}
		}
		sent := answered(t, req, resp)
		equal(t, understood(t, req, sent), resp)
		sent.Payload = g.jumbled(decodeAny(t, sent.Payload), true)
		equal(t, understood(t, req, sent), resp)
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, sent.Payload)
		}
	}
}

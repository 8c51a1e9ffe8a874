package rfc9132

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// generator makes random values that the profile can say; the same seed makes the same values.
type generator struct{ *rand.Rand }

func generate(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 9132))} }

// often is true three times of four, so that attributes meet.
func (g generator) often() bool { return g.IntN(4) > 0 }

// some makes up to most values, mostly few.
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

// unlike leaves out what has the key of an earlier one.
func unlike[T any, K comparable](list []T, key func(T) K) []T {
	seen := map[K]bool{}
	var kept []T
	for _, v := range list {
		if !seen[key(v)] {
			kept = append(kept, v)
		}
		seen[key(v)] = true
	}
	return kept
}

// edge makes a number, often at an edge of a length of CBOR.
func (g generator) edge(most uint64) uint64 {
	edges := []uint64{0, 1, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxInt64, most}
	v := edges[g.IntN(len(edges))]
	if g.IntN(2) == 0 {
		v = g.Uint64()
	}
	if most == math.MaxUint64 {
		return v
	}
	return v % (most + 1)
}

func maybe[T any](g generator, one func() T) dots.Maybe[T] {
	if g.often() {
		return dots.Some(one())
	}
	return dots.Maybe[T]{}
}

func (g generator) prefix() netip.Prefix {
	for {
		var p netip.Prefix
		if g.IntN(2) == 0 {
			var a [4]byte
			for i := range a {
				a[i] = byte(g.Uint32())
			}
			p = netip.PrefixFrom(netip.AddrFrom4(a), g.IntN(33)).Masked()
		} else {
			var a [16]byte
			for i := range a {
				a[i] = byte(g.Uint32())
			}
			p = netip.PrefixFrom(netip.AddrFrom16(a), g.IntN(129)).Masked()
		}
		if wire.CheckTarget(p) == "" {
			return p
		}
	}
}

func (g generator) name() string {
	names := []string{"a", "a.example", "www.example.com.", "xn--bcher-kva.example", "1and1.example", "A-B.example"}
	return names[g.IntN(len(names))]
}

func (g generator) text() string {
	texts := []string{"web", "\u00e4\u20ac\U0001f600", "a b", "=", "0", fmt.Sprint(g.Uint64()), "ipv4-acl-type"}
	return texts[g.IntN(len(texts))]
}

func (g generator) port() dots.PortRange {
	lower := uint16(g.edge(math.MaxUint16))
	return dots.PortRange{Lower: lower, Upper: lower + uint16(g.edge(uint64(math.MaxUint16-lower)))}
}

func (g generator) ports() []dots.PortRange {
	return unlike(some(g, 40, g.port), func(p dots.PortRange) uint16 { return p.Lower })
}

func (g generator) target() (t dots.Target) {
	t.Ports, t.Protocols = g.ports(), some(g, 40, func() uint8 { return uint8(g.edge(255)) })
	t.Prefixes = some(g, 40, g.prefix)
	t.FQDNs = some(g, 30, g.name)
	t.URIs = some(g, 10, func() string { return "https://" + g.name() + "/" })
	t.Aliases = some(g, 10, g.text)
	return t
}

func (g generator) lifetime() dots.Lifetime {
	if g.IntN(5) == 0 {
		return dots.Indefinite
	}
	return dots.Lifetime(1 + g.edge(math.MaxUint32-1))
}

func (g generator) source() (s dots.Source) {
	s.Prefixes = some(g, 10, func() string { return g.prefix().String() })
	s.Ports = g.ports()
	s.ICMPTypes = unlike(some(g, 10, func() dots.ICMPTypeRange {
		lower := uint8(g.Uint32())
		return dots.ICMPTypeRange{Lower: lower, Upper: lower + uint8(g.edge(uint64(255-lower)))}
	}), func(t dots.ICMPTypeRange) uint8 { return t.Lower })
	return s
}

func (g generator) acls() []dots.ACLControl {
	return unlike(some(g, 10, func() dots.ACLControl {
		return dots.ACLControl{Name: g.text(), Activation: dots.Activation(g.IntN(4))}
	}), func(a dots.ACLControl) string { return a.Name })
}

func (g generator) optional() []dots.Raw {
	list := some(g, 20, func() dots.Raw {
		keys := []uint64{128, 204, 255, 16384, 32767, 32800, 49152, 65535}
		values := [][]byte{{0}, {0x80}, {0xa0}, {0xf5}, {0x61, 'x'}, {0xf9, 0x3e, 0}, {0xa1, 1, 0x81, 2}}
		return dots.Raw{Key: keys[g.IntN(len(keys))], Value: values[g.IntN(len(values))]}
	})
	list = unlike(list, func(r dots.Raw) uint64 { return r.Key })
	sortOptional(list)
	return list
}

// mitigation makes a request, or an efficacy update.
func (g generator) mitigation() wire.Request {
	req := wire.Request{
		Op: wire.PutMitigation, CUID: g.text(), MID: dots.Some(uint32(g.edge(math.MaxUint32))), Efficacy: g.IntN(4) == 0,
		HopLimit: maybe(g, func() uint32 { return uint32(g.IntN(256)) }),
	}
	if g.IntN(3) == 0 {
		req.CDID = g.text()
	}
	m := dots.Request{MID: req.MID.Value, Target: g.target(), OnSignalLoss: g.IntN(4) == 0, Source: g.source(), Optional: g.optional()}
	if m.Target.Empty() {
		m.Target.Aliases = []string{g.text()}
	}
	m.Lifetime = dots.Some(g.lifetime())
	if req.Efficacy {
		m.Attack, m.Lifetime = dots.AttackStatus(1+g.IntN(2)), maybe(g, g.lifetime)
	} else {
		m.ACLs = g.acls()
	}
	req.Mitigation = m
	return req
}

// conflict makes a conflict that is written whole.
func (g generator) conflict() dots.Conflict {
	c := dots.Conflict{
		Status: dots.ConflictStatus(g.IntN(4)), Cause: dots.ConflictCause(g.IntN(6)), RetryTimer: uint32(g.edge(math.MaxUint32)),
	}
	switch c.Cause {
	case dots.CauseCUIDCollision:
		return dots.Conflict{Cause: c.Cause}
	case dots.CauseAcceptList:
		c.ACLs = some(g, 10, func() dots.ACLRef { return dots.ACLRef{Name: g.text(), Type: g.text()} })
	}
	c.Scope, c.MID = g.target(), maybe(g, func() uint32 { return uint32(g.edge(math.MaxUint32)) })
	return c
}

func (g generator) report() dots.Report {
	count := func() uint64 { return g.edge(math.MaxUint64) }
	r := dots.Report{
		MID: uint32(g.edge(math.MaxUint32)), Target: g.target(), OnSignalLoss: g.IntN(3) == 0, Lifetime: g.lifetime(),
		Status: dots.Status(1 + g.IntN(8)), ACLs: g.acls(), Source: g.source(), Optional: g.optional(),
		Counters: dots.Counters{
			BytesDropped: maybe(g, count), BytesPerSecond: maybe(g, count), PktsDropped: maybe(g, count), PktsPerSecond: maybe(g, count),
		},
	}
	if r.Status != dots.StatusSignalLossArmed {
		r.Start = maybe(g, count)
	}
	if g.IntN(3) == 0 {
		r.Conflict = dots.Some(g.conflict())
	}
	return r
}

// set makes a set of parameters, with ranges or without.
func (g generator) set(ranges bool) (s dots.ConfigSet) {
	for _, key := range parameterKeys() {
		if b := integers(key, &s); b != nil && g.often() {
			one := func() uint16 { return uint16(g.edge(math.MaxUint16)) }
			b.Current = dots.Some(one())
			if ranges {
				*b = dots.Bounds[uint16]{Current: maybe(g, one), Min: maybe(g, one), Max: maybe(g, one)}
			}
		}
		if b := decimals(key, &s); b != nil && g.often() {
			one := func() dots.Decimal { return dots.Decimal(100 + g.edge(math.MaxInt32-100)) }
			b.Current = dots.Some(one())
			if ranges {
				*b = dots.Bounds[dots.Decimal]{Current: maybe(g, one), Min: maybe(g, one), Max: maybe(g, one)}
			}
		}
	}
	return s
}

func (g generator) config(ranges bool) dots.SessionConfig {
	c := dots.SessionConfig{Mitigating: g.set(ranges), Idle: g.set(ranges)}
	if empty(c.Mitigating, ranges) && empty(c.Idle, ranges) {
		c.Idle.HeartbeatInterval = current[uint16](30)
	}
	return c
}

const generations = 700

// What is said is understood as it was meant, and is said in one way: what another encoder makes of it.
func TestGeneratedRequests(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		var req wire.Request
		switch g.IntN(4) {
		case 0:
			req = wire.Request{Op: wire.PutConfig, SID: dots.Some(g.edge(math.MaxUint32)), Config: g.config(false)}
		case 1:
			req = wire.Request{Op: wire.PutRedirect, CUID: g.text(), Redirect: dots.Redirect{
				Server: g.name(), Records: some(g, 20, func() string { return g.prefix().Addr().String() }),
			}}
			if g.often() {
				req.Redirect.TTLs = []uint32{uint32(g.edge(math.MaxUint32))}
			}
		default:
			req = g.mitigation()
		}
		sent := encoded(t, req)
		equal(t, accepted(t, sent), req)
		equal(t, sent.Payload, body(t, decodeAny(t, sent.Payload)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestGeneratedResponses(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		req, resp := figureRequest(), wire.Response{MaxAge: maybe(g, func() uint32 { return uint32(g.edge(math.MaxUint32)) })}
		switch g.IntN(6) {
		case 0:
			resp.Code, resp.Conflict = dots.CodeConflict, dots.Some(g.conflict())
		case 1:
			resp.Code = dots.CodeUnavailable
			resp.Redirect = dots.Some(dots.Redirect{Server: g.name(), Records: some(g, 20, func() string { return g.prefix().Addr().String() })})
		case 2:
			req, resp.Code, resp.Config = wire.Request{Op: wire.GetConfig}, dots.CodeContent, g.config(true)
		case 3:
			resp.Code = dots.CodeCreated
			resp.Granted = dots.Some(wire.Granted{MID: uint32(g.edge(math.MaxUint32)), Lifetime: g.lifetime()})
			if g.IntN(2) == 0 {
				resp.Conflict = dots.Some(g.conflict())
			}
		default:
			req, resp.Code, resp.Reports = getAll(), dots.CodeContent, some(g, 40, g.report)
			if resp.Reports == nil {
				resp.Reports = []dots.Report{}
			}
		}
		sent := answered(t, req, resp)
		equal(t, understood(t, req, sent), resp)
		equal(t, sent.Payload, body(t, decodeAny(t, sent.Payload)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

package rfc9132

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/fxamacker/cbor/v2"
)

// A second decoder, as plain as can be: everything into values by the library, then one look at each. What it and the profile
// accept must be the same, and mean the same.

// wrong is what the plain decoder throws.
type wrong string

func must(ok bool, what string) {
	if !ok {
		panic(wrong(what))
	}
}

// plainly runs a plain decoder; ok is false where it found something wrong.
func plainly[T any](payload []byte, decode func(body any) T) (v T, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			_, expected := r.(wrong)
			if !expected {
				panic(r)
			}
			ok = false
		}
	}()
	var whole any
	if err := cbor.Unmarshal(payload, &whole); err != nil {
		return v, false
	}
	return decode(whole), true
}

func asMap(v any) map[any]any {
	list, ok := v.(map[any]any)
	must(ok, "no map")
	for key := range list {
		number, ok := key.(uint64)
		must(ok && number <= 65535, "no key")
	}
	return list
}

func asList(v any) []any {
	list, ok := v.([]any)
	must(ok && len(list) > 0, "no list")
	return list
}

func asNumber(v any, least, most uint64) uint64 {
	n, ok := v.(uint64)
	must(ok && n >= least && n <= most, "no number")
	return n
}

func asString(v any) string {
	s, ok := v.(string)
	must(ok && s != "", "no string")
	return s
}

// only refuses keys other than those that are allowed and those that need not be understood.
func only(list map[any]any, allowed ...uint64) {
	for key := range list {
		number, _ := key.(uint64)
		optional := number >= 128 && number <= 255 || number >= 16384
		must(optional || slices.Contains(allowed, number), "not here")
	}
}

func plainStrings(v any, check func(string) string) (list []string) {
	for _, one := range asList(v) {
		s := asString(one)
		must(check(s) == "", "string")
		list = append(list, s)
	}
	return list
}

// plainSpans reads ranges and refuses two with the same lower end.
func plainSpans(v any, low, most uint64) (list [][2]uint64) {
	for _, one := range asList(v) {
		entry := asMap(one)
		only(entry, low, low+1)
		must(entry[low] != nil, "lower")
		span := [2]uint64{asNumber(entry[low], 0, most)}
		span[1] = span[0]
		if upper, ok := entry[low+1]; ok {
			span[1] = asNumber(upper, span[0], most)
		}
		for _, other := range list {
			must(other[0] != span[0], "twice")
		}
		list = append(list, span)
	}
	return list
}

func plainPorts(v any) (list []dots.PortRange) {
	for _, span := range plainSpans(v, 8, 65535) {
		list = append(list, dots.PortRange{Lower: uint16(span[0]), Upper: uint16(span[1])})
	}
	return list
}

func plainLifetime(v any) dots.Maybe[dots.Lifetime] {
	if n, ok := v.(int64); ok {
		must(n == -1, "lifetime")
		return dots.Some(dots.Indefinite)
	}
	return dots.Some(dots.Lifetime(asNumber(v, 1, math.MaxUint32)))
}

func plainACLs(v any) (list []dots.ACLControl) {
	for _, one := range asList(v) {
		entry := asMap(one)
		only(entry, 23, 52)
		a := dots.ACLControl{Name: asString(entry[uint64(23)])}
		must(wire.CheckText(a.Name) == "", "name")
		if v, ok := entry[uint64(52)]; ok {
			a.Activation = dots.Activation(asNumber(v, 1, 3))
		}
		for _, other := range list {
			must(other.Name != a.Name, "twice")
		}
		list = append(list, a)
	}
	return list
}

// plainRequest decodes a mitigation request of mid 123.
func plainRequest(efficacy bool) func(body any) dots.Request {
	return func(body any) dots.Request {
		if tag, ok := body.(cbor.Tag); ok {
			must(tag.Number == 271, "tag")
			body = tag.Content
		}
		outer := asMap(body)
		only(outer, 1)
		inner := asMap(outer[uint64(1)])
		only(inner, 2)
		list := asList(inner[uint64(2)])
		must(len(list) == 1, "entries")
		entry := asMap(list[0])
		only(entry, 6, 7, 10, 11, 12, 13, 14, 29, 45, 53)
		m := dots.Request{MID: 123}
		for _, key := range slices.SortedFunc(maps.Keys(entry), func(x, y any) int { return cmp.Compare(x.(uint64), y.(uint64)) }) {
			plainAttribute(&m, key.(uint64), entry[key])
		}
		must(!m.Target.Empty(), "target")
		must(efficacy == (m.Attack != 0), "attack-status")
		must(efficacy || m.Lifetime.Set, "lifetime")
		must(!efficacy || m.ACLs == nil, "access lists")
		return m
	}
}

func plainAttribute(m *dots.Request, key uint64, v any) {
	switch key {
	case 6:
		for _, one := range asList(v) {
			p, err := netip.ParsePrefix(asString(one))
			must(err == nil && wire.CheckTarget(p) == "", "prefix")
			m.Target.Prefixes = append(m.Target.Prefixes, p)
		}
	case 7:
		m.Target.Ports = plainPorts(v)
	case 10:
		for _, one := range asList(v) {
			m.Target.Protocols = append(m.Target.Protocols, uint8(asNumber(one, 0, 255)))
		}
	case 11:
		m.Target.FQDNs = plainStrings(v, wire.CheckName)
	case 12:
		m.Target.URIs = plainStrings(v, wire.CheckURI)
	case 13:
		m.Target.Aliases = plainStrings(v, wire.CheckText)
	case 14:
		m.Lifetime = plainLifetime(v)
	case 29:
		m.Attack = dots.AttackStatus(asNumber(v, 1, 2))
	case 45:
		trigger, ok := v.(bool)
		must(ok, "trigger")
		m.OnSignalLoss = !trigger
	case 53:
		m.ACLs = plainACLs(v)
	case 32768:
		m.Source.Prefixes = plainStrings(v, checkSource)
	case 32769:
		m.Source.Ports = plainPorts(v)
	case 32770:
		for _, span := range plainSpans(v, 32771, 255) {
			m.Source.ICMPTypes = append(m.Source.ICMPTypes, dots.ICMPTypeRange{Lower: uint8(span[0]), Upper: uint8(span[1])})
		}
	default:
		if key < 32771 || key > 32781 {
			m.Optional = append(m.Optional, dots.Raw{Key: key})
		}
	}
}

// plainConfig decodes the configuration that a client sends.
func plainConfig(body any) (c dots.SessionConfig) {
	if tag, ok := body.(cbor.Tag); ok {
		must(tag.Number == 271, "tag")
		body = tag.Content
	}
	outer := asMap(body)
	only(outer, 30)
	sets := asMap(outer[uint64(30)])
	only(sets, 32, 44)
	must(sets[uint64(32)] != nil || sets[uint64(44)] != nil, "no set")
	if v, ok := sets[uint64(32)]; ok {
		c.Mitigating = plainSet(v)
	}
	if v, ok := sets[uint64(44)]; ok {
		c.Idle = plainSet(v)
	}
	return c
}

func plainSet(v any) (s dots.ConfigSet) {
	set, found := asMap(v), false
	only(set, 33, 37, 38, 39, 40, 50)
	for key, v := range set {
		number := key.(uint64)
		if b := integers(number, &s); b != nil {
			entry := asMap(v)
			only(entry, 36)
			must(entry[uint64(36)] != nil, "no value")
			b.Current, found = dots.Some(uint16(asNumber(entry[uint64(36)], 0, math.MaxUint16))), true
		}
		if b := decimals(number, &s); b != nil {
			entry := asMap(v)
			only(entry, 43)
			tag, ok := entry[uint64(43)].(cbor.Tag)
			must(ok && tag.Number == 4, "no decimal")
			b.Current, found = dots.Some(plainDecimal(tag.Content)), true
		}
	}
	must(found && s.AckRandomFactor.Current.Or(100) >= 100, "parameters")
	return s
}

// plainDecimal reads [exponent, mantissa] in hundredths.
func plainDecimal(v any) dots.Decimal {
	pair := asList(v)
	must(len(pair) == 2, "pair")
	factor := uint64(100)
	if exponent, ok := pair[0].(int64); ok {
		must(exponent >= -2, "exponent")
		factor = map[int64]uint64{-1: 10, -2: 1}[exponent]
	} else {
		asNumber(pair[0], 0, 0)
	}
	return dots.Decimal(asNumber(pair[1], 0, math.MaxInt32) * factor)
}

// spoil changes a value somewhere inside, in a random way; most spoilt messages are wrong, some are not.
func (g generator) spoil(v any) any {
	if g.IntN(4) == 0 {
		return g.junk()
	}
	switch v := v.(type) {
	case map[any]any:
		keys := slices.SortedFunc(maps.Keys(v), func(x, y any) int { return cmp.Compare(x.(uint64), y.(uint64)) })
		if len(keys) == 0 || g.IntN(3) == 0 {
			v[g.key()] = g.junk()
			return v
		}
		key := keys[g.IntN(len(keys))]
		if g.IntN(4) == 0 {
			delete(v, key)
			return v
		}
		v[key] = g.spoil(v[key])
		return v
	case []any:
		if len(v) == 0 {
			return append(v, g.junk())
		}
		at := g.IntN(len(v))
		switch g.IntN(4) {
		case 0:
			return append(v, v[at])
		case 1:
			return append(v[:at:at], v[at+1:]...)
		}
		v[at] = g.spoil(v[at])
		return v
	}
	return g.junk()
}

func (g generator) key() any {
	keys := []uint64{0, 3, 5, 6, 9, 14, 15, 29, 31, 34, 36, 43, 45, 53, 54, 127, 128, 255, 256, 16383, 16384, 32768, 32771, 32776, 65535, 65536}
	return keys[g.IntN(len(keys))]
}

func (g generator) junk() any {
	values := []any{
		uint64(0), uint64(1), uint64(255), uint64(256), uint64(65536), uint64(1) << 32, uint64(math.MaxUint64), int64(-1), int64(-2),
		"", "a.example", "192.0.2.0/24", "192.0.2.1/24", "https://a.example/", "a b", []byte("a"),
		[]any{},
		map[any]any{},
		true, false, nil, 1.5,
		[]any{uint64(1)},
		[]any{"a.example"},
		map[any]any{uint64(8): uint64(1)},
		map[any]any{uint64(36): uint64(1)},
		map[any]any{uint64(43): dec(-1, 15)},
		cbor.Tag{Number: 4, Content: []any{int64(-2), uint64(99)}},
		cbor.Tag{Number: 271, Content: map[any]any{}},
	}
	return values[g.IntN(len(values))]
}

// compared counts how many messages both decoders took and refused, so that the test is known to have seen enough of each.
type compared struct{ taken, refused int }

func (c *compared) enough(t *testing.T, of int) {
	t.Helper()
	if c.taken < of/10 || c.refused < of/10 {
		t.Errorf("of %d messages %d were taken and %d refused", of, c.taken, c.refused)
	}
}

// same compares what the two decoders say of one message.
func (c *compared) same(t *testing.T, ok bool, err error) bool {
	t.Helper()
	var e *dots.Error
	if err != nil && (!errors.As(err, &e) || e.Code != dots.CodeBadRequest) {
		t.Errorf("error %v", err)
	}
	if ok != (err == nil) {
		t.Errorf("the plain decoder accepts: %v, the profile says %v", ok, err)
	}
	if ok {
		c.taken++
	} else {
		c.refused++
	}
	return ok && err == nil
}

func TestRequestsAgainstPlainDecoder(t *testing.T) {
	var count compared
	for seed := range uint64(2 * generations) {
		g := generate(seed)
		req := g.mitigation()
		message := decodeAny(t, encoded(t, req).Payload)
		for range g.IntN(3) {
			message = g.spoil(message)
		}
		payload := body(t, message)
		r := put(payload)
		r.IfMatch = req.Efficacy
		got, err := New().DecodeRequest(r)
		want, ok := plainly(payload, plainRequest(req.Efficacy))
		if count.same(t, ok, err) {
			for i := range got.Mitigation.Optional {
				got.Mitigation.Optional[i].Value = nil // kept as it was encoded: compared elsewhere
			}
			equal(t, got.Mitigation, want)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, payload)
		}
	}
	count.enough(t, 2*generations)
}

func TestConfigsAgainstPlainDecoder(t *testing.T) {
	var count compared
	for seed := range uint64(2 * generations) {
		g := generate(seed)
		req := wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](7), Config: g.config(false)}
		message := decodeAny(t, encoded(t, req).Payload)
		for range g.IntN(3) {
			message = g.spoil(message)
		}
		payload := body(t, message)
		got, err := New().DecodeRequest(putConfig(payload))
		want, ok := plainly(payload, plainConfig)
		if count.same(t, ok, err) {
			equal(t, got.Config, want)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, payload)
		}
	}
	count.enough(t, 2*generations)
}

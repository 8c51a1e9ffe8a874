package draft04

import (
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

// wrong is what the plain decoder throws: the code with which the message is to be refused.
type wrong dots.Code

// invalid refuses with 4.02, absent with 4.00.
func invalid(is bool) {
	if is {
		panic(wrong(dots.CodeBadOption))
	}
}

func absent(is bool) {
	if is {
		panic(wrong(dots.CodeBadRequest))
	}
}

// plainly runs a plain decoder; code is that of its refusal, or 0.
func plainly(payload []byte) (req dots.Request, code dots.Code) {
	defer func() {
		if r := recover(); r != nil {
			w, expected := r.(wrong)
			if !expected {
				panic(r)
			}
			code = dots.Code(w)
		}
	}()
	var whole any
	if err := cbor.Unmarshal(payload, &whole); err != nil {
		return req, dots.CodeBadRequest
	}
	return plainRequest(whole), 0
}

// members returns a map's members; keys from 32768 to 65536 are left out, and all others must be among those allowed.
func members(v any, allowed ...any) map[any]any {
	list, ok := v.(map[any]any)
	invalid(!ok)
	kept := map[any]any{}
	for key, value := range list {
		if number, ok := key.(uint64); ok && number >= 32768 && number <= 65536 {
			continue
		}
		invalid(!slices.Contains(allowed, key))
		kept[key] = value
	}
	return kept
}

func items(v any) []any {
	list, ok := v.([]any)
	invalid(!ok || len(list) == 0)
	return list
}

func number(v any, least, most uint64) uint64 {
	n, ok := v.(uint64)
	invalid(!ok || n < least || n > most)
	return n
}

func plainStrings(v any, check func(string) string) (list []string) {
	for _, one := range items(v) {
		s, ok := one.(string)
		invalid(!ok || check(s) != "")
		list = append(list, s)
	}
	return list
}

// plainRequest decodes in two passes, as the profile refuses what is invalid anywhere before what is missing at the end.
func plainRequest(body any) (m dots.Request) {
	outer := members(body, uint64(1))
	absent(len(outer) == 0)
	inner := members(outer[uint64(1)], uint64(2))
	absent(len(inner) == 0)
	one := inner[uint64(2)]
	if list, ok := one.([]any); ok {
		invalid(len(list) != 1)
		one = list[0]
	}
	allowed := []any{"target-prefix"}
	for key := uint64(3); key <= 13; key++ {
		if key != 6 && key != 7 {
			allowed = append(allowed, key)
		}
	}
	entry := members(one, allowed...)
	for key, v := range entry {
		plainAttribute(&m, key, v)
	}
	m.Target.Prefixes = append(plainPrefixes(entry[uint64(4)], true), plainPrefixes(entry["target-prefix"], false)...)
	_, hasID := entry[uint64(3)]
	absent(!hasID || m.Target.Empty())
	if !m.Lifetime.Set && m.Attack == 0 {
		m.Lifetime = dots.Some[dots.Lifetime](3600)
	}
	return m
}

func plainAttribute(m *dots.Request, key, v any) {
	switch key {
	case uint64(3):
		m.MID = uint32(number(v, 0, math.MaxInt32))
	case uint64(4), "target-prefix":
		items(v)
	case uint64(5):
		m.Target.Ports = plainPorts(v)
	case uint64(8):
		for _, one := range items(v) {
			m.Target.Protocols = append(m.Target.Protocols, uint8(number(one, 0, 255)))
		}
		if slices.Contains(m.Target.Protocols, 0) {
			m.Target.Protocols = nil
		}
	case uint64(9):
		m.Target.FQDNs = plainStrings(v, wire.CheckName)
	case uint64(10):
		m.Target.URIs = plainStrings(v, wire.CheckURI)
	case uint64(11):
		m.Target.Aliases = plainStrings(v, wire.CheckText)
	case uint64(12):
		if n, ok := v.(int64); ok {
			invalid(n != -1)
			m.Lifetime = dots.Some(dots.Indefinite)
			return
		}
		m.Lifetime = dots.Some(dots.Lifetime(number(v, 1, math.MaxInt32)))
	case uint64(13):
		m.Attack = dots.AttackStatus(number(v, 1, 2))
	}
}

func plainPrefixes(v any, addresses bool) (list []netip.Prefix) {
	if v == nil {
		return nil
	}
	for _, one := range items(v) {
		s, ok := one.(string)
		invalid(!ok)
		if a, err := netip.ParseAddr(s); addresses && err == nil && a.Zone() == "" {
			s = netip.PrefixFrom(a, a.BitLen()).String()
		} else {
			invalid(addresses)
		}
		p, err := netip.ParsePrefix(s)
		invalid(err != nil || wire.CheckTarget(p) != "")
		list = append(list, p)
	}
	return list
}

// plainPorts joins the ranges that begin the same.
func plainPorts(v any) (list []dots.PortRange) {
	for _, one := range items(v) {
		entry := members(one, uint64(6), uint64(7))
		for _, value := range entry {
			number(value, 0, 65535)
		}
		lower, has := entry[uint64(6)].(uint64)
		absent(!has)
		p := dots.PortRange{Lower: uint16(lower), Upper: uint16(lower)}
		if upper, ok := entry[uint64(7)].(uint64); ok {
			invalid(upper < lower)
			p.Upper = uint16(upper)
		}
		at := slices.IndexFunc(list, func(o dots.PortRange) bool { return o.Lower == p.Lower })
		if at < 0 {
			list = append(list, p)
		} else {
			list[at].Upper = max(list[at].Upper, p.Upper)
		}
	}
	return list
}

// spoil changes a value somewhere inside, in a random way.
func (g generator) spoil(v any) any {
	if g.IntN(4) == 0 {
		return g.junk()
	}
	switch v := v.(type) {
	case map[any]any:
		keys := slices.SortedFunc(maps.Keys(v), byKey)
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
	keys := []any{
		uint64(0), uint64(2), uint64(3), uint64(4), uint64(7), uint64(12), uint64(13), uint64(21), uint64(30), uint64(31), uint64(32767),
		uint64(32768), uint64(65536), uint64(65537), "target-prefix", "ttl", "x",
	}
	return keys[g.IntN(len(keys))]
}

func (g generator) junk() any {
	values := []any{
		uint64(0), uint64(1), uint64(255), uint64(256), uint64(65536), uint64(1) << 31, uint64(math.MaxUint64), int64(-1), int64(-2), "",
		"a.example", "192.0.2.1", "192.0.2.0/24", "https://a.example/", "a b", []byte("a"),
		[]any{},
		map[any]any{},
		true, nil, 1.5,
		[]any{uint64(1)},
		[]any{"a.example"},
		[]any{"192.0.2.1"},
		[]any{"192.0.2.0/24"},
		map[any]any{uint64(6): uint64(1)},
	}
	return values[g.IntN(len(values))]
}

func TestRequestsAgainstPlainDecoder(t *testing.T) {
	taken, refused := 0, 0
	for seed := range uint64(4 * generations) {
		g := generate(seed)
		message := decodeAny(t, encoded(t, g.mitigation()).Payload)
		for range g.IntN(3) {
			message = g.spoil(message)
		}
		payload := body(t, message)
		got, err := New().DecodeRequest(put(payload))
		want, code := plainly(payload)
		var e *dots.Error
		switch {
		case err == nil && code == 0:
			taken++
			equal(t, got.Mitigation, want)
		case errors.As(err, &e) && code != 0 && (e.Code == dots.CodeBadRequest || e.Code == dots.CodeBadOption):
			refused++ // which of several faults is told first may differ
		default:
			t.Errorf("the plain decoder says %v, the profile %v", code, err)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, payload)
		}
	}
	if taken < generations/3 || refused < generations/3 {
		t.Errorf("%d taken, %d refused", taken, refused)
	}
}

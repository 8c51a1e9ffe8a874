package draft04

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// jumbled writes a value with its keys in a random order. Where it is told to, it adds what a server may put into a map:
// nulls and empty lists for absent attributes, and keys of its own.
func (g generator) jumbled(v any, add bool) []byte {
	var w wire.Writer
	switch v := v.(type) {
	case map[any]any:
		if add {
			v = g.crowded(v)
		}
		keys := slices.Collect(maps.Keys(v))
		slices.SortFunc(keys, byKey)
		g.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		w.BeginMap()
		for _, key := range keys {
			if number, ok := key.(uint64); ok {
				w.Key(number)
			} else {
				w.TextKey(key.(string))
			}
			w.Raw(g.jumbled(v[key], add))
		}
		w.EndMap()
	case []any:
		w.BeginArray()
		for _, one := range v {
			w.Element()
			w.Raw(g.jumbled(one, add))
		}
		w.EndArray()
	default:
		return mustEncode(v)
	}
	return w.Bytes()
}

// byKey orders keys, numbers before names, so that a seed always makes the same message.
func byKey(x, y any) int {
	n, number := x.(uint64)
	o, other := y.(uint64)
	switch {
	case number && other:
		return cmp.Compare(n, o)
	case number:
		return -1
	case other:
		return 1
	}
	return cmp.Compare(x.(string), y.(string))
}

func mustEncode(v any) []byte {
	b, err := encoder().Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// crowded adds to a map what its reader must pass over.
func (g generator) crowded(v map[any]any) map[any]any {
	v = maps.Clone(v)
	add := func(key, value any) {
		if _, there := v[key]; !there {
			v[key] = value
		}
	}
	for range 1 + g.IntN(4) {
		switch g.IntN(4) {
		case 0:
			add(uint64(1+g.IntN(30)), nil)
		case 1:
			lists := []any{
				uint64(keyTargetIP), uint64(keyTargetPortRange), uint64(keyTargetProtocol), uint64(keyFQDN), uint64(keyURI), uint64(keyAliasName),
				textTargetPrefix, textAltServerRecord,
			}
			add(lists[g.IntN(len(lists))], []any{})
		case 2:
			own := []any{uint64(31), uint64(32767), uint64(65536), uint64(1 << 40), "cuid", ""}
			add(own[g.IntN(len(own))], []any{"x", nil})
		case 3:
			names := []any{textTargetPrefix, textAltServer, textAddr, textTTL}
			add(names[g.IntN(len(names))], nil)
		}
	}
	return v
}

// What is passed over of a server is refused of a client.
func TestCrowdedRequestsAreRefused(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		r := encoded(t, g.mitigation())
		r.Payload = g.jumbled(decodeAny(t, r.Payload), true)
		if _, err := New().DecodeRequest(r); err == nil || dots.AsError(err).Code.Class() != 4 {
			t.Errorf("seed %d, %x: %v", seed, r.Payload, err)
		}
	}
}

// Lists of a server may hold nulls, and texts that are empty.
func TestListsOfAServer(t *testing.T) {
	answer := func(entry m) wire.CoAPResponse {
		return wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, scope(entry))}
	}
	got := understood(t, getAll(), answer(m{
		3: 1, 4: a{nil, "192.0.2.1"}, "target-prefix": a{nil}, 5: a{nil, m{6: 1}, nil}, 8: a{6, nil}, 9: a{"", nil, "a.example"}, 10: a{""},
		11: a{nil, ""}, 12: 5, 21: 1,
	}))
	equal(t, got.Reports, []dots.Report{{
		MID: 1, Lifetime: 5, Status: dots.StatusInProgress, Target: dots.Target{
			Prefixes: prefixes("192.0.2.1/32"), Ports: []dots.PortRange{{Lower: 1, Upper: 1}}, Protocols: []uint8{6}, FQDNs: []string{"a.example"},
		},
	}})
	for _, payload := range [][]byte{body(t, m{1: m{}}), body(t, m{1: m{2: nil}}), body(t, m{1: m{2: a{}}})} {
		if got := understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: payload}); len(got.Reports) != 0 {
			t.Errorf("%x read as %+v", payload, got.Reports)
		}
	}
	for name, entry := range map[string]m{
		"address text": {4: a{"x"}}, "null address as list": {4: "192.0.2.1"}, "port without lower": {5: a{m{7: 1}}}, "protocol 256": {8: a{256}},
		"name number": {9: a{1}}, "URI with a control": {10: a{"a\x01"}},
	} {
		entry[3], entry[12], entry[21] = 1, 5, 1
		_, err := New().DecodeResponse(getAll(), answer(entry))
		isResponseError(t, name, err)
	}
}

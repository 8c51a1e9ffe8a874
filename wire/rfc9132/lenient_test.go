package rfc9132

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// jumbled writes a value with its keys in a random order. Where it is told to, it puts into every map of the message what
// known servers put there: nulls and empty lists for absent attributes, and keys of their own.
func (g generator) jumbled(v any, add bool) []byte { return g.jumble(v, add, 1) }

// jumble does so at a depth of nesting.
func (g generator) jumble(v any, add bool, depth int) []byte {
	var w wire.Writer
	switch v := v.(type) {
	case map[any]any:
		if add {
			v = g.crowded(v, depth < wire.MaxNesting)
		}
		g.jumbleMap(&w, v, add, depth)
	case []any:
		w.BeginArray()
		for _, one := range v {
			w.Element()
			w.Raw(g.jumble(one, add, depth+1))
		}
		w.EndArray()
	default:
		return mustEncode(v)
	}
	return w.Bytes()
}

func (g generator) jumbleMap(w *wire.Writer, v map[any]any, add bool, depth int) {
	keys := slices.Collect(maps.Keys(v))
	slices.SortFunc(keys, byKey)
	g.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	w.BeginMap()
	for _, key := range keys {
		number, isNumber := key.(uint64)
		if isNumber {
			w.Key(number)
		} else {
			w.TextKey(key.(string))
		}
		if classOf(number) == classOptional && !known(number) {
			w.Raw(mustEncode(v[key])) // kept as it was encoded
		} else {
			w.Raw(g.jumble(v[key], add, depth+1))
		}
	}
	w.EndMap()
}

// crowded adds to a map what its reader must pass over; no containers where they would be nested too deep.
func (g generator) crowded(v map[any]any, deeper bool) map[any]any {
	v = maps.Clone(v)
	add := func(key, value any) {
		if _, there := v[key]; !there {
			v[key] = value
		}
	}
	empty := any([]any{})
	if !deeper {
		empty = nil
	}
	for range 1 + g.IntN(4) {
		switch g.IntN(4) {
		case 0:
			add(uint64(1+g.IntN(53)), nil)
		case 1:
			lists := []uint64{
				keyTargetPrefix, keyTargetPortRange, keyTargetProtocol, keyTargetFQDN, keyTargetURI, keyAliasName, keyACLList,
				keyAltServerRecord, keyControlACLList, keySourcePrefix, keySourcePortRange, keySourceICMPType,
			}
			add(lists[g.IntN(len(lists))], empty)
		case 2:
			own := []uint64{54, 127, 256, 16383, 65536, math.MaxUint64}
			add(own[g.IntN(len(own))], empty)
		case 3:
			add("ietf-dots-signal-channel:"+g.text(), uint64(1))
		}
	}
	return v
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

// mustEncode encodes a plain value.
func mustEncode(v any) []byte {
	b, err := encoder().Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// The order of keys means nothing, to either side.
func TestRequestsInAnyOrder(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		req := g.mitigation()
		r := encoded(t, req)
		r.Payload = g.jumbled(decodeAny(t, r.Payload), false)
		equal(t, accepted(t, r), req)
		req = wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: g.config(false)}
		r = encoded(t, req)
		r.Payload = g.jumbled(decodeAny(t, r.Payload), false)
		equal(t, accepted(t, r), req)
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, r.Payload)
		}
	}
}

// A server's nulls, empty lists and keys of its own change nothing of what is understood.
func TestAnswersInTheCrowd(t *testing.T) {
	for seed := range uint64(generations) {
		g := generate(seed)
		req, resp := figureRequest(), wire.Response{Code: dots.CodeContent}
		switch g.IntN(5) {
		case 0:
			req, resp.Config = wire.Request{Op: wire.GetConfig}, g.config(true)
		case 1:
			resp.Code, resp.Conflict = dots.CodeConflict, dots.Some(g.conflict())
		case 2:
			resp.Code, resp.Redirect = dots.CodeUnavailable, dots.Some(dots.Redirect{Server: g.name()})
		case 3:
			resp.Code, resp.Granted = dots.CodeCreated, dots.Some(wire.Granted{MID: 7, Lifetime: g.lifetime()})
		default:
			req, resp.Reports = getAll(), []dots.Report{g.report(), g.report()}
		}
		sent := answered(t, req, resp)
		sent.Payload = g.jumbled(decodeAny(t, sent.Payload), true)
		equal(t, understood(t, req, sent), resp)
		if t.Failed() {
			t.Fatalf("seed %d: %x", seed, sent.Payload)
		}
	}
}

// What is passed over of a server is refused of a client, whichever it is.
func TestCrowdedRequestsAreRefused(t *testing.T) {
	taken := 0
	for seed := range uint64(generations) {
		g := generate(seed)
		r := encoded(t, g.mitigation())
		r.Payload = g.jumbled(decodeAny(t, r.Payload), true)
		if _, err := New().DecodeRequest(r); err == nil {
			taken++
			t.Logf("seed %d: %x", seed, r.Payload)
		} else if code := dots.AsError(err).Code; code != dots.CodeBadRequest {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	if taken > 0 {
		t.Errorf("%d were accepted", taken)
	}
}

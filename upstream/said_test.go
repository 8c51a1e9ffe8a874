package upstream

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// fill gives a value that is not zero to whatever has a kind.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int64:
		v.SetInt(1)
	default:
		v.SetUint(1)
	}
}

// leaves lists the ways to what a value is made of, as indices.
func leaves(t reflect.Type, at []int) (list [][]int) {
	if t.Kind() != reflect.Struct {
		return [][]int{append([]int(nil), at...)}
	}
	for i := range t.NumField() {
		list = append(list, leaves(t.Field(i).Type, append(at, i))...)
	}
	return list
}

// TestSaySameSeesEveryField changes one field of a leg after the other: what is said of it is another thing then, but for the revision.
func TestSaySameSeesEveryField(t *testing.T) {
	all := leaves(reflect.TypeFor[dots.Leg](), nil)
	if len(all) < 20 {
		t.Fatalf("only %d fields", len(all))
	}
	for _, at := range all {
		var a, b dots.Leg
		fill(reflect.ValueOf(&b).Elem().FieldByIndex(at))
		revision := b.Revision != 0
		if saySame(&a, &b) != revision || saySame(&b, &a) != revision || !saySame(&b, &b) {
			t.Errorf("%s is not looked at", reflect.TypeFor[dots.Leg]().FieldByIndex(at).Name)
		}
	}
}

// TestSaySameLooksInside: lists of the same length with other elements, or in another order, say something else.
func TestSaySameLooksInside(t *testing.T) {
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	of := func(change func(r *dots.Request)) *dots.Leg {
		l := leg(1, 1)
		change(&l.Request)
		return &l
	}
	for _, tt := range []struct {
		name     string
		one, two func(r *dots.Request)
	}{
		{"prefix", func(r *dots.Request) { r.Target.Prefixes = []netip.Prefix{a} }, func(r *dots.Request) { r.Target.Prefixes = []netip.Prefix{b} }},
		{"order", func(r *dots.Request) { r.Target.Prefixes = []netip.Prefix{a, b} }, func(r *dots.Request) { r.Target.Prefixes = []netip.Prefix{b, a} }},
		{"optional key", func(r *dots.Request) { r.Optional = []dots.Raw{{Key: 1}} }, func(r *dots.Request) { r.Optional = []dots.Raw{{Key: 2}} }},
		{"optional value", func(r *dots.Request) { r.Optional = []dots.Raw{{Value: []byte{1}}} }, func(r *dots.Request) { r.Optional = []dots.Raw{{Value: []byte{2}}} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if saySame(of(tt.one), of(tt.two)) || !saySame(of(tt.one), of(tt.one)) {
				t.Error("not looked at")
			}
		})
	}
}

// TestSaidKeepsTheLast: only what is said again is taken from what was kept.
func TestSaidKeepsTheLast(t *testing.T) {
	legOf := func(mid uint32, revision uint64) *dots.Leg { l := leg(mid, revision); return &l }
	var nobody *said
	nobody.keep(legOf(1, 1), &coap.Message{})
	if nobody.again(legOf(1, 1)) != nil {
		t.Error("kept by nobody")
	}
	s := &said{}
	if s.again(&dots.Leg{}) != nil {
		t.Error("there is one before any was kept")
	}
	one, two := &coap.Message{Code: 1}, &coap.Message{Code: 2}
	s.keep(legOf(1, 1), one)
	if s.again(legOf(1, 2)) != one {
		t.Error("another revision says something else")
	}
	longer := legOf(1, 3)
	longer.Request.Lifetime = dots.Some[dots.Lifetime](7200)
	if s.again(longer) != nil {
		t.Error("another lifetime is not said")
	}
	s.keep(longer, two)
	if s.again(longer) != two || s.again(legOf(1, 1)) != nil {
		t.Error("the last one is not kept")
	}
}

// TestSaidKnowsTheLastAnswer: only the same answer means the same.
func TestSaidKnowsTheLastAnswer(t *testing.T) {
	granted := wire.Response{Code: dots.CodeChanged, Granted: dots.Some(wire.Granted{MID: 1, Lifetime: 60})}
	m := func(change func(*coap.Message)) *coap.Message {
		m := &coap.Message{Code: coap.Changed, Payload: []byte("body"), Options: coap.Options{{Number: coap.ContentFormat, Value: []byte{1, 15}}}}
		if change != nil {
			change(m)
		}
		return m
	}
	var nobody *said
	nobody.answered(m(nil), granted)
	if nobody.known(m(nil)) != nil {
		t.Error("known by nobody")
	}
	for _, tt := range []struct {
		name   string
		change func(*coap.Message)
		want   bool
	}{
		{"the same", nil, true},
		{"the same, confirmable or not", func(m *coap.Message) { m.NonConfirmable = true }, true},
		{"another code", func(m *coap.Message) { m.Code = coap.Created }, false},
		{"another body", func(m *coap.Message) { m.Payload = []byte("b0dy") }, false},
		{"no body", func(m *coap.Message) { m.Payload = nil }, false},
		{"another format", func(m *coap.Message) { m.Options[0].Value = []byte{1, 16} }, false},
		{"another option", func(m *coap.Message) { m.Options[0].Number = coap.MaxAge }, false},
		{"no option", func(m *coap.Message) { m.Options = nil }, false},
	} {
		s := &said{}
		if s.known(m(tt.change)) != nil {
			t.Errorf("%s: known before any came", tt.name)
		}
		s.answered(m(nil), granted)
		if meant := s.known(m(tt.change)); (meant != nil) != tt.want || meant != nil && meant.Granted != granted.Granted {
			t.Errorf("%s: known to mean %+v", tt.name, meant)
		}
	}
	s := &said{}
	for _, m := range []*coap.Message{m(func(m *coap.Message) { m.Code = coap.ServiceUnavailable }), m(func(m *coap.Message) { m.Payload = make([]byte, keptAnswer+1) })} {
		if s.answered(m, granted); s.answer.Load() != nil {
			t.Errorf("%v of %d bytes is kept", m.Code, len(m.Payload))
		}
	}
}

// writingProfile counts the requests for mitigations that are written.
type writingProfile struct {
	wire.Profile
	puts int
}

func (p *writingProfile) EncodeRequest(r wire.Request) (wire.CoAPRequest, error) {
	if r.Op == wire.PutMitigation {
		p.puts++
	}
	return p.Profile.EncodeRequest(r)
}

// TestRefreshIsWrittenOnce: the uplink reads each of many refreshes as the first request, and a change as a change.
func TestRefreshIsWrittenOnce(t *testing.T) {
	p := &writingProfile{Profile: rfc9132.New()}
	virtual(t, func(c *Config) { c.Links[0].Profile = p }, func(w *world) {
		var got, want []dots.Request
		w.answer = func(r wire.Request) (wire.Response, bool) {
			if r.Op == wire.PutMitigation {
				got = append(got, r.Mitigation)
			}
			return w.serve(r)
		}
		w.run()
		l := putLeg(1, 1)
		for _, lifetime := range []dots.Lifetime{3600, 3600, 3600, 7200, 3600} {
			l.Request.Lifetime = dots.Some(lifetime)
			want = append(want, l.Request)
			w.want(l)
			l.Revision++
			w.sleep(time.Second)
		}
		w.set(func() {
			if diff := cmp.Diff(want, got); diff != "" {
				w.Errorf("the uplink read (-want +got):\n%s", diff)
			}
		})
		if p.puts != 3 {
			w.Errorf("%d were written, want 3", p.puts)
		}
	})
}

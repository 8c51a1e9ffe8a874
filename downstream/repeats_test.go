package downstream

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// countingProfile counts what is read.
type countingProfile struct {
	wire.Profile
	name string
	read int
}

func (p *countingProfile) Name() string { return p.name }

func (p *countingProfile) DecodeRequest(m wire.CoAPRequest) (wire.Request, error) {
	p.read++
	return p.Profile.DecodeRequest(m)
}

// said is a PUT as a client says it.
func said(t *testing.T, cuid string, mid uint32, prefixes ...string) wire.CoAPRequest {
	t.Helper()
	body := dots.Request{MID: mid, Lifetime: dots.Some(dots.DefaultLifetime)}
	for _, p := range prefixes {
		body.Target.Prefixes = append(body.Target.Prefixes, netip.MustParsePrefix(p))
	}
	m, err := rfc9132.New().EncodeRequest(wire.Request{Op: wire.PutMitigation, CUID: cuid, MID: dots.Some(mid), Mitigation: body})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRepeats reads requests several times: what is the same is read once, and means the same each time.
func TestRepeats(t *testing.T) {
	first := said(t, "c1", 1, "192.0.2.1/32")
	efficacy := first
	efficacy.IfMatch = true
	for _, tt := range []struct {
		name string
		m    wire.CoAPRequest
		want int // times that it is read, of three
	}{
		{"a mitigation", first, 1},
		{"of another mid", said(t, "c1", 2, "192.0.2.1/32"), 1},
		{"of another client", said(t, "c2", 1, "192.0.2.1/32"), 1},
		{"of another target", said(t, "c1", 1, "192.0.2.2/32"), 1},
		{"a GET", wire.CoAPRequest{Method: wire.GET, Path: first.Path}, 3},
		{"no path", wire.CoAPRequest{Method: wire.PUT}, 3},
		{"a heartbeat", wire.CoAPRequest{
			Method: wire.PUT, Path: []string{".well-known", "dots", "hb"}, Format: first.Format, Payload: []byte{0xa1, 0x18, 0x31, 0xa1, 0x18, 0x33, 0xf5},
		}, 3},
		{"refused: no attack-status", efficacy, 3},
		{"refused: no body", wire.CoAPRequest{Method: wire.PUT, Path: first.Path}, 3},
		{"large", said(t, "c1", 1, manyPrefixes(100)...), 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, p := newRepeats(), &countingProfile{Profile: rfc9132.New(), name: "a"}
			want, wantErr := rfc9132.New().DecodeRequest(tt.m)
			for range 3 {
				m := tt.m
				m.Payload = append([]byte(nil), tt.m.Payload...)
				got, err := r.read(p, m)
				if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
					t.Errorf("read (-want +got):\n%s", diff)
				}
				if fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Errorf("error %v, want %v", err, wantErr)
				}
				clear(m.Payload) // it was the message's
			}
			if p.read != tt.want {
				t.Errorf("read %d times, want %d", p.read, tt.want)
			}
		})
	}
}

func manyPrefixes(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("192.0.2.%d/32", i))
	}
	return list
}

// TestRepeatsProfiles: what one dialect reads is not what another one reads.
func TestRepeatsProfiles(t *testing.T) {
	r, m := newRepeats(), said(t, "c1", 1, "192.0.2.1/32")
	a, b := &countingProfile{Profile: rfc9132.New(), name: "a"}, &countingProfile{Profile: rfc9132.New(), name: "b"}
	for range 2 {
		for _, p := range []*countingProfile{a, b} {
			if _, err := r.read(p, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a.read != 1 || b.read != 1 {
		t.Errorf("read %d and %d times, want once each", a.read, b.read)
	}
}

// TestRepeatsBounded: however many are read, no more are kept than there is room for, and the newest is.
func TestRepeatsBounded(t *testing.T) {
	r, p := newRepeats(), &countingProfile{Profile: rfc9132.New(), name: "a"}
	const many = 5 * repeatSets
	var m wire.CoAPRequest
	for mid := range uint32(many) {
		m = said(t, "c1", mid+1, "192.0.2.1/32")
		if _, err := r.read(p, m); err != nil {
			t.Fatal(err)
		}
	}
	kept := 0
	for i := range r.sets {
		for j := range r.sets[i] {
			if r.sets[i][j].Load() != nil {
				kept++
			}
		}
	}
	if kept < repeatSets || kept > 2*repeatSets {
		t.Errorf("%d are kept, want most of %d", kept, 2*repeatSets)
	}
	if _, err := r.read(p, m); err != nil || p.read != many {
		t.Errorf("%d were read (%v), want %d: the newest is not kept", p.read, err, many)
	}
}

// TestSameSeesEveryField changes one field of a request after the other: a request that says anything else is another one.
func TestSameSeesEveryField(t *testing.T) {
	fields := reflect.TypeFor[wire.CoAPRequest]()
	for i := range fields.NumField() {
		var a, b wire.CoAPRequest
		f := reflect.ValueOf(&b).Elem().Field(i)
		switch f.Kind() {
		case reflect.Struct: // a Maybe of zero
			f.FieldByName("Set").SetBool(true)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Bool:
			f.SetBool(true)
		default:
			f.SetUint(1)
		}
		if same(a, b) || !same(b, b) {
			t.Errorf("%s is not looked at", fields.Field(i).Name)
		}
	}
}

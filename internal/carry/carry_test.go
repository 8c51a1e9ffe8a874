package carry_test

import (
	"math"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/google/go-cmp/cmp"
)

// opt is one option of a message.
func opt(number uint16, value ...byte) coap.Option { return coap.Option{Number: number, Value: value} }

func text(number uint16, value string) coap.Option { return opt(number, []byte(value)...) }

// full is a request with everything in it that a profile can write.
func full() wire.CoAPRequest {
	return wire.CoAPRequest{
		Method: wire.PUT, Path: []string{".well-known", "dots", "mitigate", "cuid=a", "mid=1"}, Query: []string{"c=config", "x"},
		Format: dots.Some[uint16](271), Accept: dots.Some[uint16](271), IfMatch: true,
		Observe: dots.Some[uint32](1), HopLimit: dots.Some[uint32](300), Payload: []byte{0xa0},
	}
}

// TestRequestMessage: RFC 9132, Section 4.4: where each part of a request is in CoAP; RFC 7252, Section 3.1: options stand
// in the order of their numbers, and RFC 7252, Section 3.2: an integer is as short as it can be.
func TestRequestMessage(t *testing.T) {
	tests := []struct {
		name    string
		r       wire.CoAPRequest
		confirm carry.Confirm
		want    coap.Message
	}{
		{"everything", full(), carry.NON, coap.Message{
			Code: coap.PUT, Payload: []byte{0xa0}, NonConfirmable: true,
			Options: coap.Options{
				opt(coap.IfMatch), opt(coap.Observe, 1),
				text(coap.UriPath, ".well-known"), text(coap.UriPath, "dots"), text(coap.UriPath, "mitigate"),
				text(coap.UriPath, "cuid=a"), text(coap.UriPath, "mid=1"),
				opt(coap.ContentFormat, 1, 15), text(coap.UriQuery, "c=config"), text(coap.UriQuery, "x"),
				opt(coap.HopLimit, 1, 44), opt(coap.Accept, 1, 15),
			},
		}},
		{"nothing but a path", wire.CoAPRequest{Method: wire.GET, Path: []string{"a"}}, carry.CON, coap.Message{
			Code: coap.GET, Options: coap.Options{text(coap.UriPath, "a")},
		}},
		// RFC 7641, Section 2: Observe 0 registers, so it is not the same as none.
		{"zeros", wire.CoAPRequest{
			Method: wire.GET, Observe: dots.Some[uint32](0), HopLimit: dots.Some[uint32](0), Accept: dots.Some[uint16](0),
		}, carry.NON, coap.Message{
			Code: coap.GET, NonConfirmable: true,
			Options: coap.Options{opt(coap.Observe), opt(coap.HopLimit), opt(coap.Accept)},
		}},
		{"an ETag is never sent", wire.CoAPRequest{Method: wire.DELETE, IfMatchTag: true}, carry.NON, coap.Message{
			Code: coap.DELETE, NonConfirmable: true,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := carry.RequestMessage(tt.r, tt.confirm)
			if diff := cmp.Diff(&tt.want, got, emptyIsNil()); diff != "" {
				t.Errorf("RequestMessage() (-want +got)\n%s", diff)
			}
		})
	}
}

// emptyIsNil takes an option's empty value for none: on the wire they are the same.
func emptyIsNil() cmp.Option {
	return cmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })
}

// TestRequestBack: what was written is read as it was.
func TestRequestBack(t *testing.T) {
	for _, confirm := range []carry.Confirm{carry.NON, carry.CON} {
		if diff := cmp.Diff(full(), carry.Request(carry.RequestMessage(full(), confirm))); diff != "" {
			t.Errorf("read back (-want +got)\n%s", diff)
		}
	}
}

// TestRequest reads what other implementations may send.
func TestRequest(t *testing.T) {
	tests := []struct {
		name    string
		options coap.Options
		want    wire.CoAPRequest
	}{
		{"no option", nil, wire.CoAPRequest{}},
		// RFC 9132, Section 4.4.3: If-Match of zero length.
		{"an empty If-Match", coap.Options{opt(coap.IfMatch)}, wire.CoAPRequest{IfMatch: true}},
		{"an ETag", coap.Options{opt(coap.IfMatch, 7)}, wire.CoAPRequest{IfMatchTag: true}},
		{"both kinds", coap.Options{opt(coap.IfMatch, 7), opt(coap.IfMatch)}, wire.CoAPRequest{IfMatch: true, IfMatchTag: true}},
		{
			"the last format there is",
			coap.Options{opt(coap.ContentFormat, 0xff, 0xff)},
			wire.CoAPRequest{Format: dots.Some[uint16](math.MaxUint16)},
		},
		{
			"formats beyond 16 bits, 271 in the lower ones",
			coap.Options{opt(coap.ContentFormat, 1, 1, 15), opt(coap.Accept, 1, 1, 15)},
			wire.CoAPRequest{Format: dots.Some[uint16](math.MaxUint16), Accept: dots.Some[uint16](math.MaxUint16)},
		},
		{
			"leading zeros", // RFC 7252, Section 3.2: allowed
			coap.Options{opt(coap.Observe, 0, 0), opt(coap.ContentFormat, 0, 1, 15), opt(coap.HopLimit, 0, 0, 0, 9)},
			wire.CoAPRequest{Observe: dots.Some[uint32](0), Format: dots.Some[uint16](271), HopLimit: dots.Some[uint32](9)},
		},
		{"no number", coap.Options{opt(coap.Observe, 0, 0, 0, 0, 1), opt(coap.HopLimit, 1, 2, 3, 4, 5), opt(coap.Accept, 0, 0, 0, 1, 15)}, wire.CoAPRequest{}},
		{
			"the first of several",
			coap.Options{opt(coap.HopLimit, 3), opt(coap.HopLimit, 4)},
			wire.CoAPRequest{HopLimit: dots.Some[uint32](3)},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Method, tt.want.Payload = wire.GET, []byte{1}
			got := carry.Request(&coap.Message{Code: coap.GET, Options: tt.options, Payload: []byte{1}})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Request() (-want +got)\n%s", diff)
			}
		})
	}
}

// TestResponse: both ways, and with options that mean nothing in a response.
func TestResponse(t *testing.T) {
	tests := []struct {
		name  string
		r     wire.CoAPResponse
		extra coap.Options
		want  coap.Options
	}{
		{"bare", wire.CoAPResponse{Code: dots.CodeDeleted}, nil, nil},
		{
			"with a body",
			wire.CoAPResponse{Code: dots.CodeContent, Format: dots.Some[uint16](271), Payload: []byte{0xa0}},
			coap.Options{text(coap.UriPath, "mitigate"), opt(coap.HopLimit, 16)},
			coap.Options{opt(coap.ContentFormat, 1, 15)},
		},
		{
			"again later", // RFC 9132, Section 4.4.1.3: 5.03 with Max-Age
			wire.CoAPResponse{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](60), Payload: []byte("busy")},
			coap.Options{opt(coap.ETag, 1)},
			coap.Options{opt(coap.MaxAge, 60)},
		},
		{"at once", wire.CoAPResponse{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](0)}, nil, coap.Options{opt(coap.MaxAge)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := carry.ResponseMessage(tt.r)
			want := &coap.Message{Code: coap.Code(tt.r.Code), Options: tt.want, Payload: tt.r.Payload}
			if diff := cmp.Diff(want, m, emptyIsNil()); diff != "" {
				t.Errorf("ResponseMessage() (-want +got)\n%s", diff)
			}
			for _, o := range tt.extra {
				m.Options.Add(o.Number, o.Value)
			}
			if diff := cmp.Diff(tt.r, carry.Response(m)); diff != "" {
				t.Errorf("read back (-want +got)\n%s", diff)
			}
		})
	}
}

// TestUint: an option that is no integer of 32 bits is none.
func TestUint(t *testing.T) {
	o := coap.Options{opt(coap.Observe, 0xff, 0xff, 0xff, 0xff), opt(coap.MaxAge, 0, 0, 0, 0, 0)}
	if got := carry.Uint(o, coap.Observe); got != dots.Some[uint32](math.MaxUint32) {
		t.Errorf("Uint(Observe) = %v", got)
	}
	for _, number := range []uint16{coap.MaxAge, coap.HopLimit} {
		if got := carry.Uint(o, number); got.Set {
			t.Errorf("Uint(%d) = %v, want none", number, got)
		}
	}
}

// TestOneDatagram: RFC 9132, Section 4.4.1: a request in one datagram, where it can be; options count too.
func TestOneDatagram(t *testing.T) {
	r := full()
	if !carry.OneDatagram(r, 0) {
		t.Error("a small request does not fit")
	}
	r.Payload = make([]byte, 1000)
	if !carry.OneDatagram(r, 0) {
		t.Error("a request of 1000 bytes does not fit")
	}
	r.Path = append(r.Path, strings.Repeat("x", 150))
	if carry.OneDatagram(r, 0) {
		t.Error("a request with a long path fits")
	}
	r = full()
	r.Payload = make([]byte, 460)
	if carry.OneDatagram(r, coap.LeastPathMTU) {
		t.Error("a request of 460 bytes and a path fits where packets have 576")
	}
	r = full()
	r.Payload = make([]byte, coap.DefaultMaxDatagram)
	if carry.OneDatagram(r, 0) {
		t.Error("a payload as large as a datagram fits")
	}
}

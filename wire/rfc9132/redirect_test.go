package rfc9132

import (
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func TestCallHomeRedirect(t *testing.T) {
	// RFC 9066, Section 5.2.2: the figure has cuid and mid in the path.
	req := wire.Request{
		Op: wire.PutRedirect, CUID: "c", MID: dots.Some[uint32](9),
		Redirect: dots.Redirect{Server: "alt.example", Records: []string{"2001:db8::1"}, TTLs: []uint32{3600}},
	}
	got := encoded(t, req)
	equal(t, got.Path, path("redirect", "cuid=c", "mid=9"))
	equal(t, got.Payload, body(t, m{46: m{32773: "alt.example", 32774: a{"2001:db8::1"}, 32775: 3600}}))
	equal(t, accepted(t, got), req)
	bare := wire.Request{Op: wire.PutRedirect, Redirect: dots.Redirect{Server: "alt.example"}}
	equal(t, accepted(t, encoded(t, bare)), bare)
}

func TestCallHomeRedirectRefused(t *testing.T) {
	for _, tt := range []struct {
		body any
		text string
	}{
		{m{46: m{}}, "alt-ch-client: missing"},
		{m{46: m{32773: "a b"}}, "alt-ch-client: not a domain name"},
		{m{46: m{32773: "a", 32774: a{"a"}}}, "alt-ch-client-record: not an address"},
		{m{46: m{32773: "a", 32775: -1}}, "ttl: not an unsigned"},
		{m{46: m{32773: "a", 47: "b"}}, "alt-server: not allowed here"},
	} {
		r := put(body(t, tt.body))
		r.Path = path("redirect")
		isRefused(t, r, dots.CodeBadRequest, tt.text)
	}
}

// RFC 9132, Section 4.6: the answer's Max-Age is the redirection's lifetime; one of each record is call home's and the older dialect's.
func TestRedirectHasNoTTL(t *testing.T) {
	resp := wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](30), Redirect: dots.Some(dots.Redirect{
		Server: "a.example", Records: []string{"192.0.2.1"}, TTLs: []uint32{60},
	})}
	got := answered(t, getAll(), resp)
	equal(t, got.Payload, body(t, m{46: m{47: "a.example", 48: a{"192.0.2.1"}}}))
	equal(t, got.MaxAge, dots.Some[uint32](30))
	resp.Redirect.Value.TTLs = nil
	equal(t, understood(t, getAll(), got), resp)
}

package rfc9132

import (
	"slices"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func TestOwns(t *testing.T) {
	for _, tt := range []struct {
		path []string
		want bool
	}{
		{path("mitigate"), true},
		{path(), true},
		{[]string{".well-known"}, false},
		{nil, false},
		{[]string{"v1", "dots-signal", "signal"}, false},
		{[]string{".well-known", "core"}, false},
	} {
		if got := New().Owns(tt.path); got != tt.want {
			t.Errorf("Owns(%q) = %v", tt.path, got)
		}
	}
}

func TestPathsAccepted(t *testing.T) {
	for _, tt := range []struct {
		method wire.Method
		path   []string
		want   wire.Request
	}{
		{wire.GET, path("mitigate", "cuid=c"), wire.Request{Op: wire.GetMitigations, CUID: "c"}},
		{wire.GET, path("mitigate", "cuid=c=", "mid=0"), wire.Request{Op: wire.GetMitigations, CUID: "c=", MID: dots.Some[uint32](0)}},
		{
			wire.DELETE, path("mitigate", "cdid=d", "cuid=c", "mid=4294967295"),
			wire.Request{Op: wire.DeleteMitigation, CDID: "d", CUID: "c", MID: dots.Some[uint32](4294967295)},
		},
		{wire.GET, path("config"), wire.Request{Op: wire.GetConfig}},
		{wire.GET, path("config", "sid=9"), wire.Request{Op: wire.GetConfig, SID: dots.Some[uint64](9)}},
		{wire.DELETE, path("config"), wire.Request{Op: wire.DeleteConfig}},
	} {
		m := wire.CoAPRequest{Method: tt.method, Path: tt.path}
		// RFC 9132, Section 4.4.2 and Section 4.4.4: a GET and a DELETE have no body; one is ignored.
		m.Payload, m.Format = []byte("?"), dots.Some[uint16](0)
		equal(t, accepted(t, m), tt.want)
		back := encoded(t, tt.want)
		if back.Method != tt.method || !slices.Equal(back.Path, tt.path) || back.Payload != nil || back.Format.Set {
			t.Errorf("encoded %+v", back)
		}
	}
}

func TestPathsRefused(t *testing.T) {
	for _, tt := range []struct {
		method wire.Method
		path   []string
		code   dots.Code
		text   string
	}{
		{wire.GET, path(), dots.CodeNotFound, ""},
		{wire.GET, path(""), dots.CodeNotFound, ""},
		{wire.GET, path("tm", "cuid=c"), dots.CodeNotFound, ""},
		{wire.GET, []string{"x"}, dots.CodeNotFound, ""},
		{wire.POST, path("mitigate", "cuid=c", "mid=1"), dots.CodeMethodNotAllowed, ""},
		{5, path("mitigate", "cuid=c", "mid=1"), dots.CodeMethodNotAllowed, ""},
		{0, path("config"), dots.CodeMethodNotAllowed, ""},
		{wire.GET, path("hb"), dots.CodeMethodNotAllowed, ""},
		{wire.DELETE, path("hb"), dots.CodeMethodNotAllowed, ""},
		{wire.GET, path("redirect"), dots.CodeMethodNotAllowed, ""},
		// RFC 9132, Section 4.4.1: cuid and mid are mandatory, the order counts, empty values are invalid.
		{wire.PUT, path("mitigate", "mid=1"), dots.CodeBadRequest, "cuid missing"},
		{wire.PUT, path("mitigate", "cuid=c"), dots.CodeBadRequest, "mid missing"},
		{wire.DELETE, path("mitigate", "cuid=c"), dots.CodeBadRequest, "mid missing"},
		{wire.GET, path("mitigate"), dots.CodeBadRequest, "cuid missing"},
		{wire.GET, path("mitigate", "cuid="), dots.CodeBadRequest, "cuid: empty"},
		{wire.GET, path("mitigate", "cdid=", "cuid=c"), dots.CodeBadRequest, "cdid: empty"},
		{wire.GET, path("mitigate", "cuid=c", "mid="), dots.CodeBadRequest, "mid: empty"},
		{wire.GET, path("mitigate", "cuid=c", "cuid=c"), dots.CodeBadRequest, "cuid twice"},
		{wire.GET, path("mitigate", "mid=1", "cuid=c"), dots.CodeBadRequest, "cuid twice or out of order"},
		{wire.GET, path("mitigate", "cuid=c", "cdid=d"), dots.CodeBadRequest, "cdid twice or out of order"},
		{wire.GET, path("mitigate", "cuid=c", "x=1"), dots.CodeBadRequest, "unknown parameter"},
		{wire.GET, path("mitigate", "cuid=c", "sid=1"), dots.CodeBadRequest, "unknown parameter"},
		{wire.GET, path("mitigate", "cuid=c", ""), dots.CodeBadRequest, "unknown parameter"},
		{wire.GET, path("mitigate", "cuid"), dots.CodeBadRequest, "unknown parameter"},
		{wire.GET, path("mitigate", "CUID=c"), dots.CodeBadRequest, "unknown parameter"},
		{wire.GET, path("mitigate", "cuid=a\nb"), dots.CodeBadRequest, "control character"},
		{wire.GET, path("mitigate", "cuid=\xff"), dots.CodeBadRequest, "UTF-8"},
		{wire.GET, path("mitigate", "cuid=c", "mid=4294967296"), dots.CodeBadRequest, "mid: not a number"},
		{wire.GET, path("mitigate", "cuid=c", "mid=-1"), dots.CodeBadRequest, "mid: not a number"},
		{wire.GET, path("mitigate", "cuid=c", "mid=+1"), dots.CodeBadRequest, "mid: not a number"},
		{wire.GET, path("mitigate", "cuid=c", "mid=01"), dots.CodeBadRequest, "mid: not a number"},
		{wire.GET, path("mitigate", "cuid=c", "mid=1e3"), dots.CodeBadRequest, "mid: not a number"},
		{wire.PUT, path("config"), dots.CodeBadRequest, "sid missing"},
		{wire.GET, path("config", "sid=x"), dots.CodeBadRequest, "sid: not a number"},
		{wire.GET, path("config", "cuid=c"), dots.CodeBadRequest, "unknown parameter"},
		// RFC 9132, Section 4.7: no cuid, cdid or mid in a heartbeat.
		{wire.PUT, path("hb", "cuid=c"), dots.CodeBadRequest, "unknown parameter"},
		{wire.PUT, path("hb", "mid=1"), dots.CodeBadRequest, "unknown parameter"},
	} {
		isRefused(t, wire.CoAPRequest{Method: tt.method, Path: tt.path}, tt.code, tt.text)
	}
}

func TestFilter(t *testing.T) {
	for _, tt := range []struct {
		query []string
		want  wire.Filter
		bad   bool
	}{
		{nil, wire.FilterAll, false},
		{[]string{"c=a"}, wire.FilterAll, false},
		{[]string{"c=c"}, wire.FilterConfig, false},
		{[]string{"x=1", "c=n"}, wire.FilterNonConfig, false},
		{[]string{"c=x"}, 0, true},
		{[]string{"c="}, 0, true},
		{[]string{"c"}, 0, true},
		{[]string{"c=a", "c=a"}, 0, true},
	} {
		m := wire.CoAPRequest{Method: wire.GET, Path: path("mitigate", "cuid=c"), Query: tt.query}
		if tt.bad {
			isRefused(t, m, dots.CodeBadRequest, "query")
			continue
		}
		got := accepted(t, m)
		if got.Filter != tt.want {
			t.Errorf("%q: got %v", tt.query, got.Filter)
		}
		equal(t, accepted(t, encoded(t, got)), got)
	}
}

func TestFormats(t *testing.T) {
	good := unhex(t, putFigure)
	// RFC 9132, Section 10.4: application/dots+cbor, and nothing else.
	for _, format := range []dots.Maybe[uint16]{{}, dots.Some[uint16](0), dots.Some[uint16](60)} {
		r := put(good)
		r.Format = format
		isRefused(t, r, dots.CodeUnsupportedFormat, "271")
	}
	r := put(good)
	r.Accept = dots.Some[uint16](271)
	accepted(t, r)
	r.Accept = dots.Some[uint16](60)
	isRefused(t, r, dots.CodeNotAcceptable, "271")
	r = put(nil)
	r.Format = dots.Maybe[uint16]{}
	isRefused(t, r, dots.CodeBadRequest, "body missing")
}

func TestIfMatch(t *testing.T) {
	r := put(unhex(t, putFigure))
	r.IfMatchTag = true
	isRefused(t, r, dots.CodeBadRequest, "If-Match")
	r = wire.CoAPRequest{Method: wire.DELETE, Path: path("mitigate", "cuid=c", "mid=1"), IfMatch: true}
	isRefused(t, r, dots.CodeBadRequest, "If-Match")
	r.Method = wire.GET
	accepted(t, r)
}

func TestUnsayable(t *testing.T) {
	good := func(change func(*wire.Request)) wire.Request {
		req := figureRequest()
		change(&req)
		return req
	}
	for name, req := range map[string]wire.Request{
		"no operation":        {},
		"no cuid":             good(func(r *wire.Request) { r.CUID = "" }),
		"no mid":              good(func(r *wire.Request) { r.MID = dots.Maybe[uint32]{} }),
		"no target":           good(func(r *wire.Request) { r.Mitigation.Target = dots.Target{} }),
		"no lifetime":         good(func(r *wire.Request) { r.Mitigation.Lifetime = dots.Maybe[dots.Lifetime]{} }),
		"lifetime 0":          good(func(r *wire.Request) { r.Mitigation.Lifetime.Value = 0 }),
		"efficacy of nothing": {Op: wire.GetConfig, Efficacy: true},
		"no sid":              {Op: wire.PutConfig},
		"long sid":            {Op: wire.GetConfig, SID: dots.Some[uint64](1 << 32)},
		"no parameter":        {Op: wire.PutConfig, SID: dots.Some[uint64](1)},
		"session-wide trigger": {
			Op: wire.PutConfig, SID: dots.Some[uint64](1), Config: dots.SessionConfig{TriggerMitigation: dots.Some(false)},
		},
	} {
		if got, err := New().EncodeRequest(req); err == nil {
			t.Errorf("%s: encoded as %+v", name, got)
		}
	}
}

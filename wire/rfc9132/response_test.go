package rfc9132

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// isResponseError checks that an error stays on the side of the peer that made it.
func isResponseError(t *testing.T, name string, err error) {
	t.Helper()
	var r *wire.ResponseError
	var d *dots.Error
	if !errors.As(err, &r) || r.Text == "" || errors.As(err, &d) {
		t.Errorf("%s: error %v", name, err)
	}
}

func TestGranted(t *testing.T) {
	// RFC 9132, Section 4.4.1.3: mid and lifetime, never cuid or cdid.
	resp := wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 123, Lifetime: 3600})}
	got := answered(t, fullRequest(), resp)
	equal(t, got.Payload, unhex(t, "A1 01 A1 02 81 A2 05 18 7B 0E 19 0E10"))
	equal(t, understood(t, figureRequest(), got), resp)

	resp.Code = dots.CodeChanged
	resp.Granted.Value.Lifetime = dots.Indefinite
	resp.Conflict = dots.Some(dots.Conflict{Status: dots.ConflictThisActive, Cause: dots.CauseOverlappingTargets})
	equal(t, understood(t, figureRequest(), answered(t, figureRequest(), resp)), resp)

	resp = wire.Response{Code: dots.CodeChanged}
	equal(t, answered(t, figureRequest(), resp), wire.CoAPResponse{Code: dots.CodeChanged})
	equal(t, understood(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeChanged}), resp)
	equal(t, understood(t, figureRequest(), wire.CoAPResponse{Code: dots.CodeChanged, Payload: []byte{0xf6}}), resp)
}

func TestConflict(t *testing.T) {
	resp := wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{
		Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 3600,
		Scope: dots.Target{Prefixes: []netip.Prefix{prefix("198.51.100.0/24")}, FQDNs: []string{"a.example"}},
	})}
	got := answered(t, figureRequest(), resp)
	equal(t, got.Format, dots.Some[uint16](271))
	equal(t, got.Payload, body(t, scope(m{5: 123, 17: m{18: 1, 19: 1, 20: 3600, 21: m{6: a{"198.51.100.0/24"}, 11: a{"a.example"}}}})))
	equal(t, understood(t, figureRequest(), got), resp)

	// RFC 9132, Section 4.4.1.3: access lists are a scope only where an accept-list is the cause.
	acls := []dots.ACLRef{{Name: "list", Type: "ipv4-acl-type"}, {Name: "other"}}
	resp.Conflict = dots.Some(dots.Conflict{Status: dots.ConflictAllInactive, Cause: dots.CauseAcceptList, ACLs: acls})
	equal(t, understood(t, figureRequest(), answered(t, figureRequest(), resp)), resp)
	resp.Conflict.Value.Cause = dots.CauseOverlappingTargets
	if got := understood(t, figureRequest(), answered(t, figureRequest(), resp)); got.Conflict.Value.ACLs != nil {
		t.Errorf("access lists with cause 1: %+v", got.Conflict)
	}
}

func TestConflictOfCUID(t *testing.T) {
	// RFC 9132, Section 4.4.1: a cuid collision carries its cause and nothing else.
	got := answered(t, figureRequest(), wire.Response{Code: dots.CodeConflict, Diagnostic: "x", Conflict: dots.Some(dots.Conflict{
		Status: dots.ConflictOtherActive, Cause: dots.CauseCUIDCollision, RetryTimer: 5, MID: dots.Some[uint32](1),
		Scope: dots.Target{FQDNs: []string{"a.example"}},
	})})
	equal(t, got.Payload, unhex(t, "A1 01 A1 02 81 A1 11 A1 13 03"))
}

func TestDiagnostics(t *testing.T) {
	// RFC 9132, Section 4: errors carry a diagnostic payload.
	for code := dots.CodeBadRequest; code < 6<<5; code++ {
		got := answered(t, getAll(), wire.Response{Code: code, MaxAge: dots.Some[uint32](3)})
		if len(got.Payload) == 0 || len(got.Payload) > dots.MaxDiagnostic || got.Format.Set || got.MaxAge.Value != 3 {
			t.Errorf("%v: %+v", code, got)
		}
		back := understood(t, getAll(), got)
		equal(t, back, wire.Response{Code: code, MaxAge: got.MaxAge, Diagnostic: string(got.Payload)})
	}
	got := answered(t, getAll(), wire.Response{Code: dots.CodeBadRequest, Diagnostic: strings.Repeat("ä", 40)})
	if len(got.Payload) != 64 || !utf8.Valid(got.Payload) {
		t.Errorf("cut to %d bytes", len(got.Payload))
	}
	got = answered(t, getAll(), wire.Response{Code: dots.CodeBadRequest, Diagnostic: "x" + strings.Repeat("ä", 40)})
	if len(got.Payload) != 63 || !utf8.Valid(got.Payload) {
		t.Errorf("cut to %d bytes", len(got.Payload))
	}
}

func TestRefusalsReadLeniently(t *testing.T) {
	text := wire.CoAPResponse{Code: dots.CodeBadRequest, Format: dots.Some[uint16](0), Payload: []byte("no \xff")}
	equal(t, understood(t, getAll(), text), wire.Response{Code: dots.CodeBadRequest, Diagnostic: "no ?"})
	broken := wire.CoAPResponse{Code: dots.CodeConflict, Format: dots.Some[uint16](271), Payload: []byte{0xa1}}
	equal(t, understood(t, getAll(), broken), wire.Response{Code: dots.CodeConflict})
	bare := wire.CoAPResponse{Code: dots.CodeConflict, Payload: unhex(t, "A1 01 A1 02 81 A1 11 A1 13 03")}
	equal(t, understood(t, getAll(), bare), wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{Cause: 3})})
	long := wire.CoAPResponse{Code: dots.CodeLoop, Payload: []byte(strings.Repeat("a ", 600))}
	if got := understood(t, getAll(), long); len(got.Diagnostic) != wire.MaxReceivedDiagnostic {
		t.Errorf("%d bytes kept", len(got.Diagnostic))
	}
}

func TestRedirect(t *testing.T) {
	// RFC 9132, Section 4.6: 5.03 with the alternate server; Max-Age is its lifetime.
	resp := wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](3600), Redirect: dots.Some(dots.Redirect{
		Server: "alt-server.example", Records: []string{"2001:db8:6401::1", "2001:db8:6401::2"},
	})}
	got := answered(t, getAll(), resp)
	equal(t, got.Payload, body(t, m{46: m{47: "alt-server.example", 48: a{"2001:db8:6401::1", "2001:db8:6401::2"}}}))
	equal(t, understood(t, getAll(), got), resp)
}

func TestACLsNotApplied(t *testing.T) {
	// RFC 9133, Section 3.3: a 5.03 lists the access lists that could not be applied.
	resp := wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](60), ACLs: []dots.ACLControl{{Name: "l", Activation: 2}}}
	got := answered(t, figureRequest(), resp)
	equal(t, got.Payload, body(t, scope(m{5: 123, 53: a{m{23: "l", 52: 2}}})))
	equal(t, understood(t, figureRequest(), got), resp)
}

func TestUnexpectedCodes(t *testing.T) {
	for _, tt := range []struct {
		op   wire.Op
		code dots.Code
	}{
		// A known server answers so after a block-wise GET, and does not execute the request.
		{wire.PutMitigation, dots.CodeContent},
		{wire.PutConfig, dots.CodeContent},
		{wire.DeleteMitigation, dots.CodeContent},
		{wire.DeleteMitigation, dots.CodeChanged},
		{wire.DeleteConfig, dots.CodeChanged},
		{wire.PutMitigation, dots.CodeDeleted},
		{wire.GetMitigations, dots.CodeChanged},
		{wire.GetConfig, dots.CodeValid},
		{wire.PutHeartbeat, dots.CodeContent},
		{wire.GetMitigations, 0},
		{wire.GetMitigations, 1},
		{wire.GetMitigations, dots.CodeAlternateServer},
		{wire.GetMitigations, 7<<5 | 1},
	} {
		_, err := New().DecodeResponse(wire.Request{Op: tt.op}, wire.CoAPResponse{Code: tt.code, Payload: []byte{0xa0}})
		isResponseError(t, tt.code.String(), err)
	}
}

func TestNoResponse(t *testing.T) {
	for _, code := range []dots.Code{dots.CodeSilent, 1, dots.CodeAlternateServer, 6 << 5, 7 << 5} {
		if got, err := New().EncodeResponse(getAll(), wire.Response{Code: code}); err == nil {
			t.Errorf("%v encoded as %+v", code, got)
		}
	}
	bad := wire.Response{Code: dots.CodeContent, Reports: []dots.Report{{Optional: []dots.Raw{{Key: 1, Value: []byte{0}}}}}}
	if _, err := New().EncodeResponse(getAll(), bad); err == nil {
		t.Error("a required key written as an optional one")
	}
}

func TestEmptyAnswers(t *testing.T) {
	for _, tt := range []struct {
		op   wire.Op
		code dots.Code
	}{
		{wire.DeleteMitigation, dots.CodeDeleted},
		{wire.DeleteConfig, dots.CodeDeleted},
		{wire.PutConfig, dots.CodeCreated},
		{wire.PutConfig, dots.CodeChanged},
		{wire.PutHeartbeat, dots.CodeChanged},
		{wire.PutRedirect, dots.CodeCreated},
	} {
		req, resp := wire.Request{Op: tt.op}, wire.Response{Code: tt.code}
		equal(t, answered(t, req, resp), wire.CoAPResponse{Code: tt.code})
		// A known server sends a null with a configuration.
		equal(t, understood(t, req, wire.CoAPResponse{Code: tt.code, Format: dots.Some[uint16](271), Payload: []byte{0xf6}}), resp)
	}
}

func TestWrongFormatOfAnswer(t *testing.T) {
	good := answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: fullReports()})
	good.Format = dots.Some[uint16](0)
	_, err := New().DecodeResponse(getAll(), good)
	isResponseError(t, "text", err)
	good.Format = dots.Maybe[uint16]{}
	understood(t, getAll(), good)
}

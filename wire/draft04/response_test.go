package draft04

import (
	"errors"
	"math"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func getAll() wire.Request    { return wire.Request{Op: wire.GetMitigations} }
func getConfig() wire.Request { return wire.Request{Op: wire.GetConfig} }

// isResponseError checks that an error stays on the side of the peer that made it.
func isResponseError(t *testing.T, name string, err error) {
	t.Helper()
	var r *wire.ResponseError
	var d *dots.Error
	if !errors.As(err, &r) || r.Text == "" || errors.As(err, &d) {
		t.Errorf("%s: error %v", name, err)
	}
}

func fullReports() []dots.Report {
	return []dots.Report{{
		MID: 12332, Target: figureRequest().Mitigation.Target, Lifetime: 1800, Start: dots.Some[uint64](1507818434),
		Status: dots.StatusMitigated,
		Counters: dots.Counters{
			BytesDropped: dots.Some[uint64](134334555), BytesPerSecond: dots.Some[uint64](43344),
			PktsDropped: dots.Some[uint64](math.MaxUint64), PktsPerSecond: dots.Some[uint64](0),
		},
	}, {MID: 12333, Lifetime: dots.Indefinite, Status: dots.StatusStopped}}
}

func TestGranted(t *testing.T) {
	// draft-ietf-dots-signal-channel-04, Section 5.3.1, Figure 7.
	resp := wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 12332, Lifetime: 3600})}
	got := answered(t, figureRequest(), resp)
	equal(t, got.Payload, unhex(t, "A1 01 A1 02 81 A2 03 19 302C 0C 19 0E10"))
	equal(t, got.Format, dots.Some[uint16](60))
	equal(t, understood(t, figureRequest(), got), resp)
	bare := wire.CoAPResponse{Code: dots.CodeChanged}
	equal(t, answered(t, figureRequest(), wire.Response{Code: dots.CodeChanged}), bare)
	equal(t, understood(t, figureRequest(), bare), wire.Response{Code: dots.CodeChanged})
}

// draft-ietf-dots-signal-channel-04, Section 5.4.3 and Section 5.3.2: a configuration that is not there is 4.04, a
// mitigation that is not there 2.02.
func TestDeletedUnknown(t *testing.T) {
	for _, tt := range []struct {
		op      wire.Op
		unknown bool
		want    dots.Code
	}{
		{wire.DeleteConfig, false, dots.CodeDeleted},
		{wire.DeleteConfig, true, dots.CodeNotFound},
		{wire.DeleteMitigation, false, dots.CodeDeleted},
		{wire.DeleteMitigation, true, dots.CodeDeleted},
	} {
		got := answered(t, wire.Request{Op: tt.op}, wire.Response{Code: dots.CodeDeleted, Unknown: tt.unknown})
		if got.Code != tt.want || (len(got.Payload) > 0) != (tt.want == dots.CodeNotFound) {
			t.Errorf("%d, unknown %v: %v %q; want %v", tt.op, tt.unknown, got.Code, got.Payload, tt.want)
		}
	}
}

func TestReports(t *testing.T) {
	resp := wire.Response{Code: dots.CodeContent, Reports: fullReports()}
	equal(t, understood(t, getAll(), answered(t, getAll(), resp)), resp)
	// draft-ietf-dots-signal-channel-04, Section 5.3.3, Figure 10, with nulls and keys of a server's own.
	got := understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Format: dots.Some[uint16](60), Payload: body(t, scope(
		m{3: 12332, 8: a{17}, 12: 1800, 21: 2, 22: 134334555, 23: 43344, 24: 333334444, 25: 432432},
		m{3: 12333, 8: a{6}, 12: 1800, 21: 3, 22: 0, 4: nil, 9: a{}, 5: a{nil}, 99: 1, "x": 2, -7: 1},
	))})
	equal(t, got.Reports, []dots.Report{
		{MID: 12332, Target: dots.Target{Protocols: []uint8{17}}, Lifetime: 1800, Status: 2, Counters: dots.Counters{
			BytesDropped: dots.Some[uint64](134334555), BytesPerSecond: dots.Some[uint64](43344),
			PktsDropped: dots.Some[uint64](333334444), PktsPerSecond: dots.Some[uint64](432432),
		}},
		{
			MID: 12333, Target: dots.Target{Protocols: []uint8{6}}, Lifetime: 1800, Status: 3,
			Counters: dots.Counters{BytesDropped: dots.Some[uint64](0)},
		},
	})
}

func TestReportsUnreadable(t *testing.T) {
	for name, entry := range map[string]any{
		"no id": m{12: 1, 21: 1}, "no lifetime": m{3: 1, 21: 1}, "no status": m{3: 1, 12: 1}, "status 6": m{3: 1, 12: 1, 21: 6},
		"status 0": m{3: 1, 12: 1, 21: 0}, "no map": 1,
	} {
		_, err := New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, scope(entry))})
		isResponseError(t, name, err)
	}
}

func TestFiltered(t *testing.T) {
	full := fullReports()[0]
	for filter, want := range map[wire.Filter]dots.Report{
		wire.FilterConfig:    {MID: full.MID, Target: full.Target, Lifetime: full.Lifetime},
		wire.FilterNonConfig: {MID: full.MID, Lifetime: full.Lifetime, Status: full.Status, Start: full.Start, Counters: full.Counters},
	} {
		req := getAll()
		req.Filter = filter
		got := answered(t, req, wire.Response{Code: dots.CodeContent, Reports: []dots.Report{full}})
		equal(t, understood(t, req, got).Reports, []dots.Report{want})
	}
}

func TestStatesOfTheOtherDialect(t *testing.T) {
	full := fullReports()[0]
	for _, tt := range []struct {
		status dots.Status
		want   dots.Report
	}{
		{dots.StatusInProgress, dots.Report{Status: dots.StatusInProgress, Counters: full.Counters, Start: full.Start}},
		{dots.StatusClientWithdrawn, dots.Report{Status: dots.StatusClientWithdrawn, Counters: full.Counters, Start: full.Start}},
		{dots.StatusWithdrawn, dots.Report{Status: dots.StatusClientWithdrawn, Counters: full.Counters, Start: full.Start}},
		{dots.StatusSignalLossArmed, dots.Report{Status: dots.StatusInProgress}},
	} {
		report := full
		report.Status = tt.status
		tt.want.MID, tt.want.Target, tt.want.Lifetime = full.MID, full.Target, full.Lifetime
		got := answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: []dots.Report{report}})
		equal(t, understood(t, getAll(), got).Reports, []dots.Report{tt.want})
	}
	gone := full
	gone.Status = dots.StatusTerminated
	got := answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: []dots.Report{gone, full}})
	equal(t, understood(t, getAll(), got).Reports, []dots.Report{full})
	got = answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: []dots.Report{gone}})
	equal(t, got, wire.CoAPResponse{Code: dots.CodeNotFound, Payload: []byte("not found")})
}

func TestCodes(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  wire.Request
		resp wire.Response
		want wire.CoAPResponse
	}{
		{
			"conflict", figureRequest(),
			wire.Response{Code: dots.CodeConflict, Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets})},
			wire.CoAPResponse{Code: dots.CodeBadRequest, Payload: []byte("conflict: overlapping targets")},
		},
		{
			"conflict with a text", figureRequest(),
			wire.Response{Code: dots.CodeConflict, Diagnostic: "x"},
			wire.CoAPResponse{Code: dots.CodeBadRequest, Payload: []byte("x")},
		},
		{
			"bare conflict", figureRequest(),
			wire.Response{Code: dots.CodeConflict},
			wire.CoAPResponse{Code: dots.CodeBadRequest, Payload: []byte("conflict")},
		},
		{
			"bad efficacy update",
			wire.Request{Op: wire.PutMitigation, Efficacy: true},
			wire.Response{Code: dots.CodeBadRequest, Diagnostic: "x"},
			wire.CoAPResponse{Code: dots.CodeBadOption, Payload: []byte("x")},
		},
		{
			"alias of another", figureRequest(),
			wire.Response{Code: dots.CodeBadRequest, Diagnostic: "alias-name"},
			wire.CoAPResponse{Code: dots.CodeBadRequest, Payload: []byte("alias-name")},
		},
		{
			"busy", figureRequest(),
			wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](9)},
			wire.CoAPResponse{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](9), Payload: []byte("try again later")},
		},
		{
			"redirection to nowhere", figureRequest(),
			wire.Response{Code: dots.CodeAlternateServer},
			wire.CoAPResponse{Code: dots.CodeUnavailable, Payload: []byte("try again later")},
		},
		{"deleted", wire.Request{Op: wire.DeleteMitigation}, wire.Response{Code: dots.CodeDeleted}, wire.CoAPResponse{Code: dots.CodeDeleted}},
	} {
		t.Run(tt.name, func(t *testing.T) { equal(t, answered(t, tt.req, tt.resp), tt.want) })
	}
	for cause := dots.CauseOverlappingTargets; cause <= dots.CauseOverlappingPipes; cause++ {
		if text := conflictText(cause); text == "" || len(text) > dots.MaxDiagnostic {
			t.Errorf("cause %d: %q", cause, text)
		}
	}
}

func TestUnexpectedCodes(t *testing.T) {
	for _, tt := range []struct {
		op   wire.Op
		code dots.Code
	}{
		{wire.PutMitigation, dots.CodeContent},
		{wire.DeleteMitigation, dots.CodeContent},
		{wire.GetMitigations, dots.CodeChanged},
		{wire.GetMitigations, 0},
		{wire.GetMitigations, 3<<5 | 1},
		{wire.GetMitigations, 7<<5 | 1},
	} {
		_, err := New().DecodeResponse(wire.Request{Op: tt.op}, wire.CoAPResponse{Code: tt.code, Payload: []byte{0xa0}})
		isResponseError(t, tt.code.String(), err)
	}
	_, err := New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Format: dots.Some[uint16](271), Payload: []byte{0xa0}})
	isResponseError(t, "format", err)
	for _, code := range []dots.Code{0, 1, 6 << 5, 7 << 5} {
		if got, err := New().EncodeResponse(getAll(), wire.Response{Code: code}); err == nil {
			t.Errorf("%v encoded as %+v", code, got)
		}
	}
}

func TestTargetOfAReportIsReadLeniently(t *testing.T) {
	got := understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, scope(m{
		3: 1, 4: a{"127.0.0.1"}, "target-prefix": a{"198.51.100.1/24"}, 12: 0, 21: 5,
	}))})
	equal(t, got.Reports[0].Target.Prefixes, []netip.Prefix{prefix("127.0.0.1/32"), prefix("198.51.100.0/24")})
}

package rfc9132

import (
	"math"
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

func getAll() wire.Request { return wire.Request{Op: wire.GetMitigations, CUID: "c"} }

// fullReports has every attribute that a report may have, and one that has the least.
func fullReports() []dots.Report {
	full := fullRequest().Mitigation
	return []dots.Report{{
		MID: 12332, Target: full.Target, OnSignalLoss: true, Lifetime: 1800, Start: dots.Some[uint64](1507818434),
		Status: dots.StatusMitigated,
		Conflict: dots.Some(dots.Conflict{
			Status: dots.ConflictThisActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 120,
			Scope: dots.Target{Prefixes: []netip.Prefix{prefix("198.51.100.0/25")}}, MID: dots.Some[uint32](7),
		}),
		Counters: dots.Counters{
			BytesDropped: dots.Some[uint64](134334555), BytesPerSecond: dots.Some[uint64](43344),
			PktsDropped: dots.Some[uint64](math.MaxUint64), PktsPerSecond: dots.Some[uint64](0),
		},
		ACLs: full.ACLs, Source: full.Source, Optional: full.Optional,
	}, {MID: 12333, Lifetime: dots.Indefinite, Status: dots.StatusSignalLossArmed}}
}

func TestReports(t *testing.T) {
	resp := wire.Response{Code: dots.CodeContent, Reports: fullReports()}
	got := answered(t, getAll(), resp)
	equal(t, got.Format, dots.Some[uint16](271))
	equal(t, got.Payload, body(t, decodeAny(t, got.Payload)))
	equal(t, understood(t, getAll(), got), resp)
}

func TestReportFigure(t *testing.T) {
	// RFC 9132, Section 4.4.2: the second entry of the example of a response, by hand.
	want := body(t, scope(m{
		5: 12333, 6: a{"2001:db8:6401::1/128", "2001:db8:6401::2/128"}, 7: a{m{8: 80}, m{8: 443}, m{8: 8080}}, 10: a{6},
		14: 3600, 15: 1507818393, 16: 2, 25: 134334555, 26: 43344, 27: 333334444, 28: 432432,
	}))
	resp := wire.Response{Code: dots.CodeContent, Reports: []dots.Report{{
		MID: 12333, Target: figureRequest().Mitigation.Target, Lifetime: 3600, Start: dots.Some[uint64](1507818393),
		Status: dots.StatusMitigated,
		Counters: dots.Counters{
			BytesDropped: dots.Some[uint64](134334555), BytesPerSecond: dots.Some[uint64](43344),
			PktsDropped: dots.Some[uint64](333334444), PktsPerSecond: dots.Some[uint64](432432),
		},
	}}}
	got := answered(t, getAll(), resp)
	equal(t, got.Payload, want)
	equal(t, understood(t, getAll(), got), resp)
}

func TestReportArmedHasNoStart(t *testing.T) {
	// RFC 9132, Section 4.4.2: mitigation-start must not be returned with status 8.
	got := answered(t, getAll(), wire.Response{Code: dots.CodeContent, Reports: []dots.Report{
		{MID: 1, Lifetime: 60, Status: dots.StatusSignalLossArmed, Start: dots.Some[uint64](5)},
	}})
	equal(t, got.Payload, body(t, scope(m{5: 1, 14: 60, 16: 8})))
}

func TestReportFiltered(t *testing.T) {
	full := fullReports()[0]
	for _, tt := range []struct {
		filter wire.Filter
		want   dots.Report
	}{
		{wire.FilterConfig, dots.Report{
			MID: full.MID, Target: full.Target, OnSignalLoss: true, Lifetime: full.Lifetime, ACLs: full.ACLs, Source: full.Source,
		}},
		{wire.FilterNonConfig, dots.Report{
			MID: full.MID, Lifetime: full.Lifetime, Start: full.Start, Status: full.Status, Conflict: full.Conflict,
			Counters: full.Counters, Optional: full.Optional,
		}},
	} {
		req := getAll()
		req.Filter = tt.filter
		got := answered(t, req, wire.Response{Code: dots.CodeContent, Reports: []dots.Report{full}})
		equal(t, understood(t, req, got).Reports, []dots.Report{tt.want})
	}
}

func TestReportsReadLeniently(t *testing.T) {
	// What a known server writes: nulls, empty lists, upper-port always, keys of its own, no order, host addresses.
	got := understood(t, getAll(), wire.CoAPResponse{
		Code: dots.CodeContent, Format: dots.Some[uint16](271),
		Payload: body(t, m{1: m{2: a{m{
			5: 1, 6: a{"198.51.100.7", "198.51.100.9/24"}, 7: a{m{8: 80, 9: 80}}, 10: nil, 11: a{}, 12: a{""}, 13: a{nil},
			14: 0, 15: nil, 16: 1, 17: nil, 25: nil, 60: "own", 70000: 1, "x": 1, -5: a{}, 53: a{}, 32768: a{}, 45: true,
		}}}, 99: 1}),
	})
	equal(t, got.Reports, []dots.Report{{
		MID: 1, Status: dots.StatusInProgress,
		Target: dots.Target{
			Prefixes: []netip.Prefix{prefix("198.51.100.7/32"), prefix("198.51.100.0/24")},
			Ports:    []dots.PortRange{{Lower: 80, Upper: 80}},
		},
	}})
	// An epoch tag on mitigation-start is passed over.
	got = understood(t, getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: unhex(t, "A1 01 A1 02 81 A4 05 01 0E 01 0F C1 05 10 02")})
	equal(t, got.Reports, []dots.Report{{MID: 1, Lifetime: 1, Start: dots.Some[uint64](5), Status: dots.StatusMitigated}})
}

func TestReportsUnreadable(t *testing.T) {
	for name, entry := range map[string]any{
		"no mid":          m{14: 60, 16: 1},
		"no lifetime":     m{5: 1, 16: 1},
		"no status":       m{5: 1, 14: 60},
		"status 9":        m{5: 1, 14: 60, 16: 9},
		"mid text":        m{5: "1", 14: 60, 16: 1},
		"negative count":  m{5: 1, 14: 60, 16: 1, 25: -1},
		"count float":     m{5: 1, 14: 60, 16: 1, 25: 1.0},
		"start text":      m{5: 1, 14: 60, 16: 1, 15: "x"},
		"prefix nonsense": m{5: 1, 14: 60, 16: 1, 6: a{"x"}},
		"no map":          a{},
	} {
		_, err := New().DecodeResponse(getAll(), wire.CoAPResponse{Code: dots.CodeContent, Payload: body(t, scope(entry))})
		isResponseError(t, name, err)
	}
}

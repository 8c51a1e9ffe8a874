package draft04

import (
	"net/netip"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// The same values go through both dialects; what each row's change does to them is all that the older one loses.

// common is a request that both dialects can say.
func common() wire.Request {
	req := figureRequest()
	req.CUID = "dz6pHjaADkaFTbjr0JGBpw"
	req.Mitigation.Target.FQDNs = []string{"a.example", "b.example."}
	req.Mitigation.Target.URIs = []string{"https://a.example/x"}
	req.Mitigation.Target.Aliases = []string{"web"}
	return req
}

func TestRequestsThroughBoth(t *testing.T) {
	with := func(change func(*wire.Request)) wire.Request {
		req := common()
		change(&req)
		return req
	}
	cuid := func(r *wire.Request) { r.CUID, r.CDID = "", "" }
	for _, tt := range []struct {
		name string
		req  wire.Request
		loss func(r *wire.Request) // what the older dialect does to it
	}{
		{"put", common(), cuid},
		{"put, IPv4", with(func(r *wire.Request) { r.Mitigation.Target.Prefixes = []netip.Prefix{prefix("192.0.2.1/32")} }), cuid},
		{"put, any protocol", with(func(r *wire.Request) { r.Mitigation.Target.Protocols = nil }), cuid},
		{"put, indefinite", with(func(r *wire.Request) { r.Mitigation.Lifetime = dots.Some(dots.Indefinite) }), cuid},
		{"put, hop limit", with(func(r *wire.Request) { r.HopLimit = dots.Some[uint32](7) }), cuid},
		{"put, cdid", with(func(r *wire.Request) { r.CDID = "d" }), cuid},
		{
			"put, very long", with(func(r *wire.Request) { r.Mitigation.Lifetime.Value = 1<<32 - 1 }),
			func(r *wire.Request) { cuid(r); r.Mitigation.Lifetime.Value = 1<<31 - 1 },
		},
		{
			"put, optional", with(func(r *wire.Request) { r.Mitigation.Optional = []dots.Raw{{Key: 130, Value: []byte{1}}} }),
			func(r *wire.Request) { cuid(r); r.Mitigation.Optional = nil },
		},
		{
			"put, source", with(func(r *wire.Request) { r.Mitigation.Source.Prefixes = []string{"192.0.2.0/24"} }),
			func(r *wire.Request) { cuid(r); r.Mitigation.Source = dots.Source{} },
		},
		{"efficacy", with(func(r *wire.Request) { r.Efficacy, r.Mitigation.Attack = true, dots.AttackUnderAttack }), cuid},
		{"efficacy, no lifetime", with(func(r *wire.Request) {
			r.Efficacy, r.Mitigation.Attack, r.Mitigation.Lifetime = true, dots.AttackMitigated, dots.Maybe[dots.Lifetime]{}
		}), cuid},
		{"get", wire.Request{Op: wire.GetMitigations, CUID: "c", Filter: wire.FilterNonConfig, Observe: dots.Some[uint32](0)}, cuid},
		{"get one", wire.Request{Op: wire.GetMitigations, CUID: "c", MID: dots.Some[uint32](5)}, cuid},
		{"delete", wire.Request{Op: wire.DeleteMitigation, CUID: "c", MID: dots.Some[uint32](5)}, cuid},
		{"get config", wire.Request{Op: wire.GetConfig}, cuid},
		{"delete config", wire.Request{Op: wire.DeleteConfig, SID: dots.Some[uint64](9)}, cuid},
		{"put config", wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](9), Config: flat(dots.ConfigSet{
			HeartbeatInterval: current[uint16](30), AckTimeout: current[dots.Decimal](200), AckRandomFactor: current[dots.Decimal](150),
		})}, cuid},
		{"put config, probing-rate", wire.Request{Op: wire.PutConfig, SID: dots.Some[uint64](9), Config: flat(dots.ConfigSet{
			HeartbeatInterval: current[uint16](30), ProbingRate: current[uint16](5),
		})}, func(r *wire.Request) { r.Config = flat(dots.ConfigSet{HeartbeatInterval: current[uint16](30)}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			equal(t, throughRequest(t, rfc9132.New(), tt.req), tt.req)
			want := tt.req
			tt.loss(&want)
			equal(t, throughRequest(t, New(), tt.req), want)
		})
	}
}

func throughRequest(t *testing.T, p wire.Profile, req wire.Request) wire.Request {
	t.Helper()
	m, err := p.EncodeRequest(req)
	if err != nil {
		t.Fatalf("%s: %v", p.Name(), err)
	}
	if !p.Owns(m.Path) {
		t.Errorf("%s does not own %q", p.Name(), m.Path)
	}
	got, err := p.DecodeRequest(m)
	if err != nil {
		t.Fatalf("%s: %v", p.Name(), err)
	}
	return got
}

func TestResponsesThroughBoth(t *testing.T) {
	same := func(*wire.Response) {}
	reports := func(change func(*dots.Report)) wire.Response {
		list := fullReports()
		change(&list[0])
		return wire.Response{Code: dots.CodeContent, Reports: list}
	}
	conflict := dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, Cause: dots.CauseOverlappingTargets, RetryTimer: 9})
	for _, tt := range []struct {
		name string
		req  wire.Request
		resp wire.Response
		loss func(r *wire.Response)
	}{
		{"created", common(), wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 12332, Lifetime: 60})}, same},
		{"changed", common(), wire.Response{Code: dots.CodeChanged, Granted: dots.Some(wire.Granted{MID: 12332, Lifetime: -1})}, same},
		{
			"created, coexisting", common(),
			wire.Response{Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 12332, Lifetime: 60}), Conflict: conflict},
			func(r *wire.Response) { r.Conflict = dots.Maybe[dots.Conflict]{} },
		},
		{"reports", getAll(), reports(func(*dots.Report) {}), same},
		{
			"reports, conflict", getAll(), reports(func(r *dots.Report) { r.Conflict = conflict }),
			func(r *wire.Response) { r.Reports[0].Conflict = dots.Maybe[dots.Conflict]{} },
		},
		{
			"reports, withdrawn", getAll(), reports(func(r *dots.Report) { r.Status = dots.StatusWithdrawn }),
			func(r *wire.Response) { r.Reports[0].Status = dots.StatusClientWithdrawn },
		},
		{
			"reports, terminated", getAll(), reports(func(r *dots.Report) { r.Status = dots.StatusTerminated }),
			func(r *wire.Response) { r.Reports = r.Reports[1:] },
		},
		{
			"reports, armed", getAll(),
			reports(func(r *dots.Report) {
				r.Status, r.OnSignalLoss, r.Start = dots.StatusSignalLossArmed, true, dots.Maybe[uint64]{}
			}),
			func(r *wire.Response) {
				r.Reports[0].Status, r.Reports[0].OnSignalLoss = dots.StatusInProgress, false
				r.Reports[0].Counters = dots.Counters{}
			},
		},
		{"deleted", wire.Request{Op: wire.DeleteMitigation}, wire.Response{Code: dots.CodeDeleted}, same},
		{"config", getConfig(), wire.Response{Code: dots.CodeContent, MaxAge: dots.Some[uint32](45), Config: flat(dots.ConfigSet{
			HeartbeatInterval: dots.Bounds[uint16]{Current: dots.Some[uint16](30), Min: dots.Some[uint16](15), Max: dots.Some[uint16](240)},
		})}, same},
		{"bad request", common(), wire.Response{Code: dots.CodeBadRequest, Diagnostic: "x"}, same},
		{"not found", getAll(), wire.Response{Code: dots.CodeNotFound, Diagnostic: "x"}, same},
		{"unauthorised", common(), wire.Response{Code: dots.CodeUnauthorized, Diagnostic: "x"}, same},
		{"out of range", wire.Request{Op: wire.PutConfig}, wire.Response{Code: dots.CodeUnprocessable, Diagnostic: "x"}, same},
		{"busy", common(), wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](5), Diagnostic: "x"}, same},
		{"conflict", common(), wire.Response{Code: dots.CodeConflict, Conflict: conflict}, func(r *wire.Response) {
			*r = wire.Response{Code: dots.CodeBadRequest, Diagnostic: "conflict: overlapping targets"}
		}},
		{
			"redirect", common(),
			wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](60), Redirect: dots.Some(dots.Redirect{
				Server: "alt.example", Records: []string{"192.0.2.1"},
			})},
			func(r *wire.Response) { r.Redirect.Value.TTLs = []uint32{60} },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			equal(t, throughResponse(t, rfc9132.New(), tt.req, tt.resp), tt.resp)
			got := throughResponse(t, New(), tt.req, tt.resp)
			tt.loss(&tt.resp)
			equal(t, got, tt.resp)
		})
	}
}

func throughResponse(t *testing.T, p wire.Profile, req wire.Request, resp wire.Response) wire.Response {
	t.Helper()
	m, err := p.EncodeResponse(req, resp)
	if err != nil {
		t.Fatalf("%s: %v", p.Name(), err)
	}
	got, err := p.DecodeResponse(req, m)
	if err != nil {
		t.Fatalf("%s: %v", p.Name(), err)
	}
	return got
}

package upstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// bench is a plan under test with its clock.
type bench struct {
	*testing.T
	*plan
	now time.Time
}

func newBench(t *testing.T, limit int) *bench {
	return &bench{T: t, now: time.Unix(1000, 0), plan: newPlan(limit, timing{
		retryMin: 3 * time.Second, retryMax: 60 * time.Second, again: 1500 * time.Millisecond, poll: time.Minute,
	})}
}

// leg is a wanted leg under cuid "c".
func leg(mid uint32, revision uint64) dots.Leg {
	return dots.Leg{
		Key:      dots.LegKey{Uplink: "a", CUID: "c", MID: mid},
		Request:  dots.Request{MID: mid, Lifetime: dots.Some[dots.Lifetime](3600)},
		HopLimit: 15, Revision: revision,
	}
}

// gone is a withdrawn leg.
func gone(mid uint32, revision uint64) dots.Leg {
	l := leg(mid, revision)
	l.Withdraw = true
	return l
}

// jobs takes every job that may begin now.
func (b *bench) jobs() []job {
	var jobs []job
	for {
		j, ok := b.next(b.now, new(coap.Pace))
		if !ok {
			return jobs
		}
		jobs = append(jobs, j)
	}
}

// String is how tests write a job.
func (j job) String() string {
	switch j.kind {
	case kindPut:
		text := fmt.Sprintf("PUT %d r%d", j.leg.Key.MID, j.leg.Revision)
		if j.leg.Efficacy {
			text += " efficacy"
		}
		return text
	case kindDelete:
		return fmt.Sprintf("DELETE %d r%d", j.leg.Key.MID, j.leg.Revision)
	case kindStatus:
		return fmt.Sprintf("STATUS %d", j.leg.Key.MID)
	case kindCheck:
		return fmt.Sprintf("GET %d", j.leg.Key.MID)
	}
	if j.register {
		return "OBSERVE " + j.leg.Key.CUID
	}
	return "LIST " + j.leg.Key.CUID
}

func texts(jobs []job) []string {
	out := []string{}
	for _, j := range jobs {
		out = append(out, j.String())
	}
	return out
}

// expect takes every job that may begin now and compares.
func (b *bench) expect(want ...string) []job {
	b.Helper()
	jobs := b.jobs()
	if d := cmp.Diff(append([]string{}, want...), texts(jobs)); d != "" {
		b.Fatalf("jobs (-want +got):\n%s", d)
	}
	return jobs
}

// answer gives an answer that fits.
func (b *bench) answer(j job, r wire.Response) []event {
	b.Helper()
	events, fits := b.answered(b.now, j, r)
	if !fits {
		b.Fatalf("answer %v does not fit %v", r.Code, j)
	}
	return events
}

func (b *bench) code(j job, c dots.Code) []event {
	b.Helper()
	return b.answer(j, wire.Response{Code: c})
}

// list is a 2.05 with reports of mids in status 2.
func list(mids ...uint32) wire.Response {
	r := wire.Response{Code: dots.CodeContent}
	for _, mid := range mids {
		r.Reports = append(r.Reports, dots.Report{MID: mid, Status: dots.StatusMitigated})
	}
	return r
}

// up brings a plan with settled legs up: PUTs answered, list registered.
func up(t *testing.T, limit int, legs ...dots.Leg) *bench {
	t.Helper()
	b := newBench(t, limit)
	b.connected()
	b.want(legs)
	var mids []uint32
	for _, l := range legs {
		mids = append(mids, l.Key.MID)
	}
	for {
		jobs := b.jobs()
		if len(jobs) == 0 {
			break
		}
		for _, j := range jobs {
			if j.kind == kindPut {
				b.code(j, dots.CodeCreated)
			} else {
				b.answer(j, list(mids...))
			}
		}
	}
	return b
}

func TestNothingIsAskedWithoutASession(t *testing.T) {
	b := newBench(t, 16)
	b.want([]dots.Leg{leg(1, 1)})
	b.expect()
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeCreated)
	b.expect("OBSERVE c")
}

// The order is: new mitigation, withdrawal, refresh, GET.
func TestOrderOfRequests(t *testing.T) {
	b := up(t, 16, leg(1, 1), leg(2, 1))
	b.disconnected()
	b.want([]dots.Leg{leg(1, 2), gone(2, 2), leg(3, 1)})
	b.connected()
	b.expect("PUT 3 r1", "DELETE 2 r2", "PUT 1 r2")
	b.now = b.now.Add(3*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.expect("OBSERVE c")
}

// After a reconnect each leg that is to stand is PUT again, answered or not; what was withdrawn is not.
func TestReconnectMakesTheWantedSetTrue(t *testing.T) {
	b := up(t, 16, leg(1, 1), leg(2, 1))
	b.want([]dots.Leg{gone(2, 2)})
	b.code(b.expect("DELETE 2 r2")[0], dots.CodeDeleted)
	b.code(b.expect("GET 2")[0], dots.CodeNotFound)
	b.disconnected()
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeChanged)
	b.answer(b.expect("OBSERVE c")[0], list(1))
	b.expect()
}

func TestAnAnsweredRevisionIsNotAskedAgain(t *testing.T) {
	for _, code := range []dots.Code{
		dots.CodeCreated, dots.CodeChanged, dots.CodeBadRequest, dots.CodeUnauthorized, dots.CodeConflict,
		dots.CodeUnavailable, dots.CodeLoop, dots.CodeNotFound,
	} {
		t.Run(code.String(), func(t *testing.T) {
			b := up(t, 16, leg(9, 1))
			b.want([]dots.Leg{leg(1, 7)})
			j := b.expect("PUT 1 r7")[0]
			got := b.answer(j, wire.Response{
				Code: code, MaxAge: dots.Some[uint32](30), Diagnostic: "why",
				Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets}),
			})
			want := dots.LegAnswer{
				Key: j.leg.Key, Revision: 7, Code: code, Text: "why",
				Conflict: dots.Some(dots.Conflict{Cause: dots.CauseOverlappingTargets}),
			}
			if !code.Success() {
				want.MaxAge = 30 * time.Second
			}
			if len(got) != 1 || !cmp.Equal(got[0].answer.Value, want) {
				t.Fatalf("told %+v, want %+v", got, want)
			}
			b.want([]dots.Leg{leg(1, 7)}) // stated again, the same
			b.now = b.now.Add(50 * time.Second)
			b.expect()
			b.want([]dots.Leg{leg(1, 8)})
			b.expect("PUT 1 r8")
		})
	}
}

// What was refused stays refused on the next session: a retry-timer outlives sessions (RFC 9132, Section 4.4.1.3).
func TestARefusedRevisionIsNotAskedOnTheNextSession(t *testing.T) {
	b := newBench(t, 16)
	b.want([]dots.Leg{leg(1, 1)})
	b.connected()
	b.code(b.expect("PUT 1 r1")[0], dots.CodeConflict)
	b.code(b.expect("OBSERVE c")[0], dots.CodeNotFound)
	b.disconnected()
	b.connected()
	b.expect("OBSERVE c")
	b.want([]dots.Leg{leg(1, 2)})
	b.expect("PUT 1 r2")
}

func TestANewerRevisionSupersedesTheOneInFlight(t *testing.T) {
	b := up(t, 16, leg(9, 1))
	b.want([]dots.Leg{leg(1, 1)})
	old := b.expect("PUT 1 r1")[0]
	if d := cmp.Diff([]uint64{old.id}, b.want([]dots.Leg{leg(1, 2)})); d != "" {
		t.Fatal(d)
	}
	b.expect() // one request of a leg at a time
	b.dropped(old)
	newer := b.expect("PUT 1 r2")[0]
	if d := cmp.Diff([]uint64{newer.id}, b.want([]dots.Leg{gone(1, 3)})); d != "" {
		t.Fatal(d)
	}
	// Its answer came all the same: it is told, and what is wanted now is asked.
	if e := b.code(newer, dots.CodeCreated); e[0].answer.Value.Revision != 2 {
		t.Fatalf("told %+v", e)
	}
	b.expect("DELETE 1 r3")
}

func TestForgottenLegsAreGivenUp(t *testing.T) {
	b := up(t, 16, leg(9, 1))
	b.want([]dots.Leg{leg(1, 1), leg(2, 1)})
	jobs := b.expect("PUT 1 r1", "PUT 2 r1")
	if d := cmp.Diff([]uint64{jobs[0].id}, b.forget([]dots.LegKey{leg(1, 1).Key, leg(77, 1).Key})); d != "" {
		t.Fatal(d)
	}
	if e := b.code(jobs[0], dots.CodeCreated); e != nil {
		t.Fatalf("told %+v of a forgotten leg", e)
	}
	b.dropped(jobs[1])
	b.expect("PUT 2 r1")
	if got := b.inFlight; got != [classes]int{0, 1, 0, 0, 0} {
		t.Fatalf("in flight %v", got)
	}
}

// Some servers answer PUT and DELETE with 2.05 and do not execute them.
func TestASuccessThatDoesNotFitIsAFailure(t *testing.T) {
	put := []dots.Code{dots.CodeContent, dots.CodeDeleted, dots.CodeValid, dots.CodeSilent, 1 << 5, 6 << 5}
	del := []dots.Code{dots.CodeContent, dots.CodeCreated, dots.CodeChanged, dots.CodeValid}
	for _, c := range put {
		refusesFit(t, leg(1, 1), c, "PUT 1 r1")
	}
	for _, c := range del {
		refusesFit(t, gone(1, 1), c, "DELETE 1 r1")
	}
}

func refusesFit(t *testing.T, l dots.Leg, c dots.Code, name string) {
	t.Run(name+" "+c.String(), func(t *testing.T) {
		b := up(t, 16, leg(9, 1))
		b.want([]dots.Leg{l})
		j := b.expect(name)[0]
		for _, wait := range []time.Duration{3, 6, 12, 24, 48, 60, 60} {
			if events, fits := b.answered(b.now, j, wire.Response{Code: c}); fits || events != nil {
				t.Fatalf("taken for an answer: %v", events)
			}
			b.heard()
			b.now = b.now.Add(wait*time.Second - 1)
			b.expect()
			b.now = b.now.Add(1)
			j = b.expect(name)[0]
		}
	})
}

// heard keeps the poll away.
func (b *bench) heard() {
	for cuid, l := range b.lists {
		l.at = b.now.Add(time.Hour)
		b.reviewList(cuid, l)
	}
}

// RFC 9132, Section 4.6: a redirect comes as 5.03 with a body, in older dialects as 3.00. Its Max-Age is no time to wait.
func TestARedirectIsToldAsSuch(t *testing.T) {
	to := dots.Some(dots.Redirect{Server: "x.example"})
	for _, tt := range []struct {
		name       string
		r          wire.Response
		redirected bool
		text       string
		maxAge     time.Duration
	}{
		{"5.03", wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](20), Diagnostic: "busy"}, false, "busy", 20 * time.Second},
		{"5.03 with a server", wire.Response{Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](86400), Redirect: to}, true, "redirected to x.example", 0},
		{"3.00", wire.Response{Code: dots.CodeAlternateServer, Redirect: to}, true, "redirected to x.example", 0},
		{"3.00 without a server", wire.Response{Code: dots.CodeAlternateServer, MaxAge: dots.Some[uint32](86400), Diagnostic: "elsewhere"}, true, "elsewhere", 0},
		{"4.09 with a server", wire.Response{Code: dots.CodeConflict, Redirect: to}, false, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := up(t, 16, leg(9, 1))
			b.want([]dots.Leg{leg(1, 1)})
			j := b.expect("PUT 1 r1")[0]
			want := dots.LegAnswer{
				Key: j.leg.Key, Revision: 1, Code: dots.CodeUnavailable, Text: tt.text, MaxAge: tt.maxAge, Redirected: tt.redirected,
			}
			if tt.r.Code == dots.CodeConflict {
				want.Code = dots.CodeConflict
			}
			e := b.answer(j, tt.r)
			if d := cmp.Diff(want, e[0].answer.Value); d != "" {
				t.Fatalf("told (-want +got):\n%s", d)
			}
		})
	}
}

// A redirect on the list puts it off as a failure does, and not for as long as the redirect holds.
func TestARedirectOfAList(t *testing.T) {
	b := up(t, 16, leg(1, 1))
	b.now = b.now.Add(time.Minute)
	b.answer(b.expect("LIST c")[0], wire.Response{
		Code: dots.CodeUnavailable, MaxAge: dots.Some[uint32](86400), Redirect: dots.Some(dots.Redirect{Server: "x.example"}),
	})
	b.now = b.now.Add(3*time.Second - 1)
	b.expect()
	b.now = b.now.Add(1)
	b.expect("LIST c")
}

func TestGrantedLifetimeIsTold(t *testing.T) {
	b := up(t, 16, leg(9, 1))
	b.want([]dots.Leg{leg(1, 1)})
	e := b.answer(b.expect("PUT 1 r1")[0], wire.Response{
		Code: dots.CodeCreated, Granted: dots.Some(wire.Granted{MID: 1, Lifetime: 1800}),
	})
	if a := e[0].answer.Value; a.Lifetime != dots.Some[dots.Lifetime](1800) {
		t.Fatalf("told %+v", a)
	}
}

package upstream

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// model drives a plan at random and keeps what must hold by other means than the plan does.
type model struct {
	*bench
	rng      *rand.Rand
	wanted   map[uint32]dots.Leg
	refused  map[string]bool // levels that were refused
	flight   map[uint64]job
	revision uint64
	trace    []string
}

const modelMIDs = 12

func newModel(t *testing.T, seed uint64) *model {
	return &model{
		bench: newBench(t, 4+int(seed%13)), rng: rand.New(rand.NewPCG(seed, 1)),
		wanted: map[uint32]dots.Leg{}, refused: map[string]bool{}, flight: map[uint64]job{},
	}
}

// level names what is wanted of a leg.
func level(l dots.Leg) string { return fmt.Sprintf("%d r%d %v", l.Key.MID, l.Revision, l.Withdraw) }

func (m *model) failf(format string, args ...any) {
	m.Helper()
	m.Fatalf("%s\nafter %d steps: %v", fmt.Sprintf(format, args...), len(m.trace), m.trace)
}

// step does one thing at random.
func (m *model) step() {
	mid := m.rng.Uint32N(modelMIDs)
	switch what := m.rng.IntN(20); {
	case what < 4:
		m.revision++
		l := leg(mid, m.revision)
		l.Withdraw = m.rng.IntN(3) == 0
		l.Efficacy = m.rng.IntN(4) == 0
		m.wanted[mid] = l
		m.note("want %s", level(l))
		m.drop(m.want([]dots.Leg{l}))
	case what < 5:
		delete(m.wanted, mid)
		m.note("forget %d", mid)
		m.drop(m.forget([]dots.LegKey{leg(mid, 0).Key}))
	case what < 6 && m.rng.IntN(4) == 0:
		m.note("reconnect")
		m.flight = map[uint64]job{}
		m.connected()
	case what < 7:
		m.now = m.now.Add(time.Duration(m.rng.IntN(90)) * time.Second)
		m.note("sleep")
	case what < 9:
		m.noticed(m.now, "c", m.list())
	case what < 13:
		m.begin()
	default:
		m.finish()
	}
}

func (m *model) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

// drop gives jobs up, as their sessions do.
func (m *model) drop(jobs []uint64) {
	for _, id := range jobs {
		j, there := m.flight[id]
		if !there {
			m.failf("job %d is superseded and was not in flight", id)
		}
		delete(m.flight, id)
		m.dropped(j)
	}
}

// begin takes jobs, and checks that each is one that may begin.
func (m *model) begin() {
	for _, j := range m.jobs() {
		m.note("%v begins", j)
		for _, other := range m.flight {
			if place(other) == place(j) {
				m.failf("%v and %v at once", j, other)
			}
		}
		m.flight[j.id] = j
		if len(m.flight) > m.limits[classNew] {
			m.failf("%d in flight", len(m.flight))
		}
		if j.ofList() {
			continue
		}
		w, wanted := m.wanted[j.leg.Key.MID]
		if !wanted || level(w) != level(j.leg) {
			m.failf("%v is not wanted: %v", j, w)
		}
		if m.refused[level(w)] {
			m.failf("%v was refused", j)
		}
		if (j.kind == kindPut) == w.Withdraw {
			m.failf("%v for %v", j, w)
		}
	}
}

// place is what a job is of: a leg, or a cuid's list.
func place(j job) string {
	if j.ofList() {
		return "list of " + j.leg.Key.CUID
	}
	return fmt.Sprint(j.leg.Key)
}

// list is a list of mids at random.
func (m *model) list() wire.Response {
	r := wire.Response{Code: dots.CodeContent}
	for mid := range uint32(modelMIDs + 2) {
		if m.rng.IntN(2) == 0 {
			r.Reports = append(r.Reports, dots.Report{MID: mid, Status: dots.Status(1 + m.rng.IntN(8))})
		}
	}
	return r
}

// finish ends a job in flight somehow.
func (m *model) finish() {
	for id, j := range m.flight {
		delete(m.flight, id)
		switch m.rng.IntN(8) {
		case 0:
			m.note("%v fails", j)
			m.failed(m.now, j)
		case 1:
			m.note("%v is not answered", j)
			if m.rng.IntN(2) == 0 {
				m.plan.heard = m.now.Add(1)
			}
			m.unanswered(m.now, j)
		case 2:
			m.note("%v is refused", j)
			m.answer(j, wire.Response{Code: dots.CodeUnavailable})
			if j.kind == kindPut || j.kind == kindDelete {
				m.refused[level(j.leg)] = true
			}
		default:
			m.succeed(j)
		}
		return
	}
}

func (m *model) succeed(j job) {
	m.note("%v succeeds", j)
	switch j.kind {
	case kindPut:
		m.code(j, dots.CodeCreated)
	case kindDelete:
		m.code(j, dots.CodeDeleted)
	case kindCheck:
		m.code(j, dots.CodeNotFound)
	case kindStatus:
		m.answer(j, list(j.leg.Key.MID))
	default:
		m.answer(j, m.list())
	}
}

// settle answers everything until nothing is left to ask, and checks that the wanted set is then true.
func (m *model) settle() {
	for range 200 {
		for _, j := range m.flight {
			delete(m.flight, j.id)
			m.succeed(j)
		}
		m.now = m.now.Add(2 * time.Minute)
		m.begin()
	}
	for mid, w := range m.wanted {
		e := m.entries[w.Key]
		switch {
		case m.refused[level(w)]:
		case !e.answered() || !e.verdict.good:
			m.failf("%d is not as it is wanted: %+v", mid, e)
		case !w.Withdraw && e.verdict.epoch != m.epoch:
			m.failf("%d is not confirmed on this session: %+v", mid, e)
		case w.Withdraw && e.check:
			m.failf("%d was not looked after: %+v", mid, e)
		}
	}
	if len(m.entries) != len(m.wanted) {
		m.failf("%d entries for %d wanted legs", len(m.entries), len(m.wanted))
	}
}

// consistent checks the plan's books.
func (m *model) consistent() {
	total := 0
	for _, n := range m.inFlight {
		total += n
	}
	if total != len(m.flight) {
		m.failf("%d counted in flight, %d are", total, len(m.flight))
	}
	counted, active := 0, 0
	for _, n := range m.counts {
		counted += n
	}
	for _, e := range m.entries {
		if e.active {
			active++
		}
	}
	if counted != len(m.entries) || active != m.active {
		m.failf("counted %v and %d active, %d and %d are", m.counts, m.active, len(m.entries), active)
	}
	blind := 0
	for cuid, l := range m.lists {
		if l.blind {
			blind++
		}
		if len(l.legs) != len(m.entries) {
			m.failf("list %q has %d legs of %d", cuid, len(l.legs), len(m.entries))
		}
	}
	if blind != m.blind {
		m.failf("%d cuids counted blind, %d are", m.blind, blind)
	}
}

// Whatever happens in whatever order: no request that is not wanted or was refused, never two of one leg, never too many,
// and once the uplink answers, what is wanted is true.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, seed)
			m.connected()
			for range 400 {
				m.step()
				m.consistent()
			}
			m.settle()
			if m.blind != 0 {
				m.failf("blind though the lists can be had")
			}
		})
	}
}

package upstream

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/wire"
)

// table is a negotiation whose server is the test: it notes what is asked and what that means.
type table struct {
	*testing.T
	n     negotiation
	now   time.Time
	sids  uint64
	asked question
	told  []string
}

func newTable(t *testing.T, want dots.SessionConfig) *table {
	b := &table{T: t, now: time.Unix(1000, 0)}
	b.n.want(want)
	return b
}

// next asks the next question, if one is due, and notes it.
func (b *table) next() bool {
	q, due := b.n.next(b.now, true, func() uint64 { b.sids++; return b.sids })
	if !due {
		return false
	}
	b.asked = q
	text := map[wire.Op]string{wire.GetConfig: "get", wire.PutConfig: "put", wire.DeleteConfig: "delete"}[q.op]
	if q.sid != 0 {
		text += fmt.Sprint(q.sid)
	}
	if q.observe {
		text += "+"
	}
	b.told = append(b.told, text)
	return true
}

// play gives one answer after the other, "-" for none, and compares what was asked and meant. Between two it waits for as long as needed.
func (b *table) play(answers, want string) {
	b.Helper()
	b.told = nil
	for _, code := range strings.Fields(answers) {
		if !b.next() {
			if b.n.step == stepNone {
				break
			}
			b.told = append(b.told, b.n.at.Sub(b.now).String())
			b.now = b.n.at
			b.next()
		}
		e := b.answer(code)
		if e != effectNone {
			b.told = append(b.told, map[effect]string{
				effectInstalled: "installed", effectChanged: "changed", effectForgotten: "forgotten", effectRefused: "refused",
				effectWithdrawn: "withdrawn", effectUnanswered: "unanswered",
			}[e])
		}
	}
	if got := strings.Join(b.told, " "); got != want {
		b.Errorf("%s:\ngot  %s\nwant %s", answers, got, want)
	}
}

func (b *table) answer(code string) effect {
	if code == "-" {
		return b.n.unanswered(b.now, b.asked)
	}
	var class, detail int
	if _, err := fmt.Sscanf(code, "%d.%d", &class, &detail); err != nil {
		b.Fatal(err)
	}
	r := wire.Response{Code: dots.Code(class<<5 | detail), MaxAge: dots.Some[uint32](1000)}
	if b.asked.op == wire.GetConfig && b.asked.sid != 0 {
		r.Config = b.n.asked
	}
	return b.n.answered(b.now, b.asked, r)
}

// RFC 9132, Section 4.5: what is asked after which answer.
func TestNegotiationSteps(t *testing.T) {
	for name, test := range map[string]struct{ answers, want string }{
		"accepted and kept fresh": {"2.05 2.01 2.05 2.05 2.05", "get put1 installed get1+ 15m0s get1 15m0s get1"},
		"refused":                 {"4.04 2.05", "get refused"},
		"values refused":          {"2.05 4.00 2.05", "get put1 refused"},
		"out of range":            {"2.05 4.22 2.05 2.04 2.05", "get put1 get put2 installed get2+"},
		"out of range twice":      {"2.05 4.22 2.05 4.22 2.05", "get put1 get put2 refused"},
		"unable for a while":      {"5.03 2.05 5.00 2.05 2.01", "get refused 16m40s get put1 refused 16m40s get put2 installed"},
		"silent":                  {"- 2.05 - 2.05 2.01 - 2.05", "get unanswered 5m0s get put1 unanswered 5m0s get put2 installed get2+ unanswered 1m0s get2+"},
		"forgotten":               {"2.05 2.01 2.05 4.04 2.05 2.01", "get put1 installed get1+ 15m0s get1 forgotten 1m0s get put2 installed"},
		"refresh refused":         {"2.05 2.01 2.05 5.00 2.05", "get put1 installed get1+ 15m0s get1 1m0s get1"},
	} {
		t.Run(name, func(t *testing.T) { newTable(t, wish()).play(test.answers, test.want) })
	}
}

// What is wanted changes: at once, or when the answer under way has come.
func TestNegotiationOfAnotherWish(t *testing.T) {
	other := dots.SessionConfig{Idle: dots.ConfigSet{MaxRetransmit: one[uint16](7)}}
	t.Run("between requests", func(t *testing.T) {
		b := newTable(t, wish())
		b.play("2.05 2.01 2.05", "get put1 installed get1+")
		b.n.want(other)
		b.play("2.05 4.00 2.05", "get put2 refused 1m0s get1") // what was installed stays, and is kept fresh
		if b.n.given != wish() {
			t.Errorf("in force %+v", b.n.given)
		}
		b.n.want(dots.SessionConfig{})
		b.play("- 2.02 2.05", "delete1 unanswered 5m0s delete1 withdrawn")
		if b.n.given != (dots.SessionConfig{}) || b.n.sid != 0 {
			t.Errorf("in force %+v", b.n.given)
		}
		b.n.want(other)
		b.play("2.05 2.01", "get put3 installed")
	})
	t.Run("while one is asked", func(t *testing.T) {
		b := newTable(t, wish())
		b.next()
		b.n.want(other)
		b.answer("2.05")
		b.play("2.05 2.01", "get put1 installed")
		if b.n.given != other {
			t.Errorf("in force %+v", b.n.given)
		}
		b.next()
		b.n.want(dots.SessionConfig{})
		b.answer("-")
		b.play("2.02", "delete1 withdrawn")
	})
	t.Run("taken back before it was said", func(t *testing.T) {
		b := newTable(t, wish())
		b.n.want(dots.SessionConfig{})
		b.play("2.05", "")
	})
}

// RFC 9132, Section 4.5.3: a notification puts values in force; what is wanted meanwhile is not forgotten for it.
func TestNoticesOfTheConfiguration(t *testing.T) {
	changed := dots.SessionConfig{Idle: dots.ConfigSet{MissingHBAllowed: one[uint16](4)}}
	good := wire.Response{Code: dots.CodeContent, Config: changed}
	gone := wire.Response{Code: dots.CodeNotFound}
	other := dots.SessionConfig{Idle: dots.ConfigSet{MaxRetransmit: one[uint16](7)}}
	for name, test := range map[string]struct {
		before func(b *table)
		sid    uint64
		notice wire.Response
		want   effect
		given  dots.SessionConfig
		then   string
	}{
		"of values":                  {func(*table) {}, 1, good, effectChanged, changed, "1m0s get1"},
		"of the same values":         {func(*table) {}, 1, wire.Response{Code: dots.CodeContent, Config: wish()}, effectNone, wish(), "1m0s get1"},
		"of another sid":             {func(*table) {}, 7, good, effectNone, wish(), "15m0s get1"},
		"of its end":                 {func(*table) {}, 1, gone, effectForgotten, dots.SessionConfig{}, "1m0s get"},
		"while another is wanted":    {func(b *table) { b.n.want(other) }, 1, good, effectChanged, changed, "get"},
		"while none is wanted":       {func(b *table) { b.n.want(dots.SessionConfig{}) }, 1, gone, effectNone, wish(), "delete1"},
		"while a request is awaited": {func(b *table) { b.now = b.n.at; b.next() }, 1, good, effectChanged, changed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTable(t, wish())
			b.play("2.05 2.01 2.05", "get put1 installed get1+")
			test.before(b)
			if got := b.n.noticed(b.now, test.sid, test.notice); got != test.want {
				t.Errorf("effect %d, want %d", got, test.want)
			}
			if d := gocmp.Diff(test.given, b.n.given); d != "" {
				t.Errorf("in force (-want +got):\n%s", d)
			}
			if test.then != "" {
				b.play("-", test.then+" unanswered")
			}
		})
	}
}

// Whatever is answered: no question before its time, none while one is awaited or an attack goes on, and sids only rise.
func TestNegotiationWhateverIsAnswered(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	codes := strings.Fields("- 2.01 2.02 2.04 2.05 4.00 4.04 4.05 4.22 5.00 5.03")
	wishes := []dots.SessionConfig{{}, wish(), {Idle: dots.ConfigSet{MaxRetransmit: one[uint16](7)}}}
	for range 200 {
		b := newTable(t, wishes[rng.IntN(3)])
		for range 200 {
			if rng.IntN(10) == 0 {
				b.n.want(wishes[rng.IntN(3)])
			}
			if _, due := b.n.next(b.now, false, nil); due {
				t.Fatal("asked under attack")
			}
			if b.n.asking {
				b.answer(codes[rng.IntN(len(codes))])
				continue
			}
			if b.next() {
				if b.n.deadline(true) != (time.Time{}) {
					t.Fatal("wakes while an answer is awaited")
				}
				continue
			}
			next := b.n.deadline(true)
			if next.IsZero() {
				b.n.want(wishes[rng.IntN(3)])
				continue
			}
			if !next.After(b.now) {
				t.Fatalf("spins at step %d", b.n.step)
			}
			b.now = next
		}
		if b.n.sid > b.sids {
			t.Fatalf("sid %d of %d", b.n.sid, b.sids)
		}
	}
}

// RFC 7252, Section 4.8.1, and RFC 9132, Section 4.5.2: what a server says that makes no sense is left at its default.
func TestSenselessParameters(t *testing.T) {
	c, err := goodConfig().withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	set := dots.ConfigSet{
		HeartbeatInterval: one[uint16](0), MissingHBAllowed: one[uint16](0), ProbingRate: one[uint16](0), MaxRetransmit: one[uint16](0),
		AckTimeout: one[dots.Decimal](0), AckRandomFactor: one[dots.Decimal](99),
	}
	p := carry.Transmission(parameters(time.Hour, 9, 9, 9), set)
	if d := gocmp.Diff(parameters(2*time.Second, 1.5, -1, 5), p); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if interval, missing := c.heartbeats(set); interval != 0 || missing != DefaultMissingAllowed {
		t.Errorf("heartbeats %v, %d", interval, missing)
	}
	crossed := dots.Bounds[uint16]{Min: dots.Some[uint16](9), Max: dots.Some[uint16](3)}
	if got := within(one[uint16](5), crossed); got != one[uint16](9) {
		t.Errorf("within a range that is none: %+v", got)
	}
}

package gateway

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// phase is where a mitigation is in its life.
type phase uint8

const (
	live        phase = iota + 1 // wanted by its client
	terminating                  // withdrawn or expired, active but terminating: status 5
	ended                        // finished: status 6, or 7 when the uplink refused it late; shown for a while
)

// mitigation is a mitigation request as its client made it. Three views: asked, granted, and its legs, which are derived (settle).
type mitigation struct {
	key      dots.MitigationKey
	asked    dots.Request // verbatim
	grant    policy.Grant
	hopLimit uint8
	cdid     string        // what the credential of its client gives
	lifetime dots.Lifetime // granted
	expires  time.Time     // zero: indefinite
	start    uint64        // seconds since the epoch; 0 while it is armed
	legs     []dots.LegKey // the legs that carry it now, sorted
	past     []dots.LegKey // of one that is terminating: the legs that carried it

	entered bool                      // it is in the tables, under its key
	onDisk  onDisk                    // its records
	shares  map[plot]policy.Footprint // what it needs of the legs of a plot
	stale   bool                      // its shares are to be arranged anew, though they may be the same
	heir    *mitigation               // the one that takes its place, or is to once it is accepted; nil: none
	refused []string                  // uplinks that refused it for good, sorted; durable
	spent   []string                  // uplinks that cannot cope with it (status 4), sorted
	pauses  map[string]time.Time      // by uplink: it is not asked for there until then
	away    map[string]time.Time      // by uplink: it sent it elsewhere, and another one is asked until then where one can be
	tries   int                       // how often it had to be tried by itself
	settle  time.Time                 // when its legs are to be arranged anew; zero: no such time
	attack  dots.AttackStatus         // what its client told last

	phase phase
	recursion
	calmAt time.Time // when it goes back, if no rule wants it to recurse until then

	fired   bool                      // a request with trigger-mitigation=false that was triggered
	firedAt time.Time                 // when it last was, since the start
	active  bool                      // counted among its client's active ones
	sevens  int                       // how often status 7 is still to be told before it is armed again
	forced  dots.Status               // shown in place of what the legs say; 0: nothing forced
	own     dots.Maybe[dots.Conflict] // a conflict found here, not at the uplink
	period  time.Duration             // its active-but-terminating period
	shown   dots.Status               // last status told of
	wait    []waiter                  // callers that wait for the uplink
	seq     uint64                    // its newest batch
	born    uint64                    // the batch that made it
	climbs  int                       // how often it was asked for again because its mid may have been too low

	// fresh: nobody was told yet that it is accepted, so that a refusal takes it back as if it had never been asked for.
	fresh bool
	// prior is what a fresh one replaced under its own key (draft04), to be put back when it is refused.
	prior *mitigation
	// ousted are those that it superseded before it was durable, pushed those that it deactivated.
	ousted []*mitigation
	pushed []pushed

	answerBy, termUntil, forgetAt, sevenAt time.Time

	alarm
}

// waiter is a caller that waits for the uplink's answer.
type waiter struct {
	ticket Ticket
	code   dots.Code // what it is told on success
	seq    uint64    // the batch of its request
}

func (m *mitigation) dueAt() time.Time {
	switch m.phase {
	case live:
		return earliest(m.answerBy, m.expires, m.sevenAt, m.calmAt, m.settle, m.pauseEnds(), m.awayEnds())
	case terminating:
		return earliest(m.answerBy, m.termUntil)
	}
	return m.forgetAt
}

// armed reports a request that waits for the loss of its client's sessions.
func (m *mitigation) armed() bool { return m.asked.OnSignalLoss && !m.fired && m.phase == live }

// remaining is the lifetime that is left, rounded up to whole seconds.
func (m *mitigation) remaining(now time.Time) dots.Lifetime {
	if m.expires.IsZero() {
		return dots.Indefinite
	}
	return secondsUntil(m.expires, now)
}

// secondsUntil rounds up, and is at least 0.
func secondsUntil(t, now time.Time) dots.Lifetime {
	left := t.Sub(now)
	if left <= 0 {
		return 0
	}
	return dots.Lifetime((left + time.Second - 1) / time.Second)
}

// legState is where a leg is in its life.
type legState uint8

const (
	placing legState = iota + 1 // asked for, not answered yet
	placed                      // stands at the uplink
	held                        // refused for now; asked again at retryAt
	leaving                     // DELETE is to be answered
	left                        // DELETE was answered; the uplink may still mitigate (status 5)
	foreign                     // stands at the uplink under our cuid, but we did not ask for it
)

// leg is a mitigation request as the gateway makes it to an uplink, for one mitigation or several. Current ones are what a plot is arranged
// from; a leg that is not current is replaced by another one, on its way out, or a stranger.
type leg struct {
	want      dots.Leg
	state     legState
	part      policy.Footprint     // what it covers
	members   []*mitigation        // those that it carries, or carried when it was replaced; sorted
	hint      []dots.MitigationKey // of a restored one: those that it carried
	newcomers []*mitigation        // those of them that nothing stood for before the uplink was last asked
	past      []*mitigation        // terminating ones that it still covers
	current   bool                 // found by its plot
	expires   time.Time            // of one that carries nothing any more: when it is over by itself; zero: not known
	placedAt  time.Time
	report    dots.Report   // the uplink's newest; Status 0: none yet
	heard     time.Time     // when it came; zero: not since the start
	replaces  []dots.LegKey // withdrawn once this one stands
	after     dots.LegKey   // asked for only when that one is gone; zero: at once
	born      uint64        // the batch that made it

	until time.Time // the end of the lifetime that was last asked for; zero: indefinite
	// longest is the longest lifetime that was asked for since the uplink's last answer: any of these requests may have got there.
	longest dots.Lifetime
	told    time.Time // when it was asked for last
	judged  bool      // an efficacy is to be told when it is asked for next
	done    uint64    // the revision that was answered last
	stood   bool      // it may stand at the uplink: it was confirmed once, or comes from the store
	denied  int       // withdrawals that the uplink refused

	hushed   bool // never answered, and not asked for any more: another one takes its place
	vanished bool // it went without our will: asked for again under a new mid at retryAt
	renew    bool // its place is taken by a new leg at the end of the step

	// doubted: a list did not name it, and it is asked for again under its mid to see whether it stands; doubtedAt: when it last was.
	doubted   bool
	doubtedAt time.Time
	notBefore time.Time // the end of a retry-timer: until then it is not asked for under a new mid

	calm     time.Time // until then it is not made smaller
	asIs     time.Time // until then it stays as it is, if nobody new comes: the uplink refused to have it changed
	settleAt time.Time // when that is made good; zero: nothing is

	refreshAt, retryAt time.Time

	alarm
}

func (l *leg) dueAt() time.Time {
	switch {
	case l.current:
		return earliest(l.refreshAt, l.retryAt, l.settleAt)
	case l.state == leaving || l.state == left || l.state == foreign:
		return earliest(l.retryAt, l.expires)
	}
	return time.Time{} // replaced: nothing is asked for under its key
}

// holding is what the gateway has under one of its cuids at an uplink.
type holding struct {
	legs    map[uint32]*leg
	stood   int // legs that may stand there
	foreign int
}

// asking is a request that is being decided. It may wait for names to be resolved, or for the AAA server.
type asking struct {
	ask     *dots.Ask // the event's
	tickets []Ticket
	names   map[string]bool           // that it waits for
	consult uint64                    // number of the question to the AAA server that it waits for; 0: none
	ruling  dots.Maybe[policy.Ruling] // what the AAA server said
	until   time.Time

	alarm
}

// key is the mitigation's that is asked for.
func (a *asking) key() dots.MitigationKey {
	return dots.MitigationKey{Client: a.ask.Client, MID: a.ask.Request.MID}
}

func (a *asking) dueAt() time.Time { return a.until }

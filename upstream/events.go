package upstream

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/liveness"
	"github.com/dotsgate/dotsgate/wire"
)

// Events is what the core is told. Calls may block for a while, never for ever: they return when the core has stopped.
// They come from several goroutines, those of one uplink one after the other.
type Events interface {
	// Answered carries an uplink's answer to a leg.
	Answered(a dots.LegAnswer)
	// Reported carries what the uplink says of some legs under a cuid; the reports' MIDs are ours at that uplink.
	// Complete: it is the whole list, legs missing from it do not stand there.
	Reported(uplink, cuid string, complete bool, reports []dots.Report)
	// LinkUp says that the uplink has a session.
	LinkUp(uplink string)
	// LinkDown says that the uplink has none, and why.
	LinkDown(uplink string, reason string)
}

// LegState is how far a leg has come at its uplink.
type LegState uint8

// The states of a leg. They index LegCounts.
const (
	legUncounted   LegState = iota
	LegWanted               // not known to stand there
	LegPlaced               // stands there
	LegRefused              // refused, and not asked again until the core says so
	LegWithdrawing          // withdrawn, not forgotten yet
	legStates
)

// LegCounts holds the number of an uplink's legs by LegState.
type LegCounts [legStates]int

// Meter counts what happens. Its methods must not block and be safe for concurrent use.
type Meter interface {
	// UplinkUp states whether an uplink has a session.
	UplinkUp(uplink string, up bool)
	// Request counts a request that ended: with the answer's code, or dots.CodeSilent where it was given up.
	Request(uplink string, method wire.Method, code dots.Code)
	// Legs states how many legs an uplink has in each state.
	Legs(uplink string, counts LegCounts)
	// HeartbeatMissed counts a heartbeat of ours without an answer.
	HeartbeatMissed(uplink string)
	// Liveness states what the heartbeats say of the uplink's session when that changes: Suspect from the third in a row that goes unanswered,
	// Lost when it is given up for it.
	Liveness(uplink string, state liveness.State)
	// Redirected counts a redirect to another server (RFC 9132, Section 4.6): one that is followed, or one that is not, since it leads back to where
	// we were not long ago.
	Redirected(uplink string, followed bool)
}

// noMeter counts nothing.
type noMeter struct{}

func (noMeter) UplinkUp(string, bool)                  {}
func (noMeter) Request(string, wire.Method, dots.Code) {}
func (noMeter) Legs(string, LegCounts)                 {}
func (noMeter) HeartbeatMissed(string)                 {}
func (noMeter) Liveness(string, liveness.State)        {}
func (noMeter) Redirected(string, bool)                {}

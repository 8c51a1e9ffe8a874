package policy

import (
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Action is what the gateway does with a leg after an uplink's answer.
type Action uint8

// The actions.
const (
	Accept   Action = iota + 1 // the leg stands
	Hold                       // keep the mitigation, try the leg again after RetryAfter
	Refuse                     // the mitigation is refused; never retried
	Recreate                   // PUT the leg anew under a new, higher mid
	NewCUID                    // the cuid at the uplink is taken: make another one and PUT again
	Alert                      // as Hold, and a person must look at it
)

// Situation is what an answer's meaning depends on.
type Situation struct {
	Request  dots.Request // as sent to the uplink
	Own      Expanded     // the mitigation's target: a conflict's scope is cut to it
	CUIDMode CUIDMode     // of the uplink; empty: CUIDAggregate
	NodeID   string       // our identifier in the list of a 5.08: no spaces, required
	// Refresh says that the leg stood before, under the same mid.
	Refresh bool
	// Late says that the client has its answer already.
	Late bool
	// TimedOut says that there was no answer at all. The error is ignored.
	TimedOut bool
	// RefuseWhenDown refuses when TimedOut instead of holding.
	RefuseWhenDown bool
	// CUIDInUse says that other legs are active under the cuid, so that it must not change (RFC 9132, Section 4.4.1.1).
	CUIDInUse bool
	// HideTopology keeps the uplink's list of a 5.08 from the client.
	HideTopology bool
	// Newer is the mid with which we replaced this leg, where we did.
	Newer dots.Maybe[uint32]
	// RetryAfter is the wait where the uplink told none; 0: DefaultRetryAfter.
	RetryAfter time.Duration
}

// Outcome is what an uplink's answer means: to the client and to the gateway.
type Outcome struct {
	// ToClient is the refusal that the client is told; nil: 2.01 or 2.04, as held. When Late, Refuse shows it as status 7 with its conflict.
	ToClient   *dots.Error
	Action     Action
	RetryAfter time.Duration // of Hold and Alert
}

// FanBack translates an uplink's answer to a leg's PUT; nil err is success.
func FanBack(err *dots.Error, s Situation) Outcome { return Outcome{Action: Accept} }

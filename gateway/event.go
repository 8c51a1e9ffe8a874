package gateway

import (
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// Ticket names a caller that waits for a Reply. It is unique in a process; 0 names nobody.
type Ticket uint64

// Event is something that happened to the core. The set of events is closed.
type Event interface{ event() }

// Mitigate is a mitigation request, a refresh or an efficacy update from a client.
type Mitigate struct {
	Ticket Ticket
	Ask    dots.Ask
}

// Withdraw is a client's DELETE. An unknown mitigation is no error (RFC 9132, Section 4.4.4).
type Withdraw struct {
	Ticket Ticket
	Key    dots.MitigationKey
}

// Inspect asks for the state of one (MID set) or all mitigations of a client.
type Inspect struct {
	Ticket Ticket
	Client dots.Client
	MID    dots.Maybe[uint32]
}

// ClientGone says that a client entry has no session any more. Unless it has one again within In, it is lost; 0: it is lost by missed heartbeats
// (RFC 9132, Section 4.7).
type ClientGone struct {
	Client string
	In     time.Duration
}

// ClientBack says that a client entry has a session, its first or one more, or that it may be silent for another time now before it is lost, which is
// Span; 0: not known. Nothing that was triggered stops by it (RFC 9132, Section 4.4.4).
type ClientBack struct {
	Client string
	Span   time.Duration
}

// Resolved answers a question for a name.
type Resolved struct {
	Name      string
	Addresses []netip.Addr
	TTL       time.Duration // how long the answer may be used
	Failed    bool          // the name could not be resolved; Addresses and TTL are empty
}

// Consulted answers a Consult.
type Consulted struct {
	Key    dots.MitigationKey
	Seq    uint64 // of the question: an answer to an older one is ignored
	Ruling policy.Ruling
}

// Answered is an uplink's answer to a leg.
type Answered struct{ Answer dots.LegAnswer }

// Reported is what an uplink says of legs under a cuid. Complete: the list names every leg that stands there.
type Reported struct {
	Uplink, CUID string
	Complete     bool
	Reports      []dots.Report
}

// LinkUp says that an uplink has a session, LinkDown that it has none.
type LinkUp struct{ Uplink string }

// LinkDown says that an uplink has no session.
type LinkDown struct{ Uplink, Reason string }

// Drain is the operator's command to empty an uplink, or to use it again.
type Drain struct {
	Ticket Ticket
	Uplink string
	On     bool
}

// Reload changes the rules.
type Reload struct {
	Ticket Ticket
	Rules
}

// Recurse is the operator's command to let a mitigation go on to an uplink.
type Recurse struct {
	Ticket Ticket
	Order  RecurseOrder
}

// Committed says that every batch up to Seq is durable.
type Committed struct{ Seq uint64 }

// CommitFailed says that batch From and every later one is not durable and never will be.
type CommitFailed struct {
	From uint64
	Full bool // for want of space
	// Unsaid is what was held back for those batches, in order.
	Unsaid []Ready
}

// Tick says that a deadline passed.
type Tick struct{}

// Clock says what the clocks outside say: how much the wall clock is ahead of the time of the steps, and, where Boot is not empty, when the run of the machine
// of that name began, by the time of the steps.
type Clock struct {
	Skew   time.Duration
	Boot   string
	Anchor time.Time
}

// Restate asks for the whole wanted set, as after a start.
type Restate struct{}

func (Mitigate) event()     {}
func (Withdraw) event()     {}
func (Inspect) event()      {}
func (ClientGone) event()   {}
func (ClientBack) event()   {}
func (Resolved) event()     {}
func (Answered) event()     {}
func (Reported) event()     {}
func (LinkUp) event()       {}
func (LinkDown) event()     {}
func (Consulted) event()    {}
func (Reload) event()       {}
func (Recurse) event()      {}
func (Drain) event()        {}
func (Committed) event()    {}
func (CommitFailed) event() {}
func (Clock) event()        {}
func (Tick) event()         {}
func (Restate) event()      {}

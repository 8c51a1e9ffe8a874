package gateway

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// WhenDown says what a new mitigation meets while its uplink has no session (the gateway's own choice: no standard tells).
type WhenDown string

// The choices of when_down.
const (
	// WhenDownHold accepts durably, answers with status 1 and places the mitigation once the uplink returns.
	WhenDownHold WhenDown = "hold"
	// WhenDownRefuse answers 5.03 with Max-Age.
	WhenDownRefuse WhenDown = "refuse"
)

// Defaults of CoreConfig.
const (
	DefaultAnswerWait     = 2 * time.Second   // under the 3 s after which a client repeats
	DefaultTerminating    = 120 * time.Second // RFC 9132, Section 4.4.4
	DefaultTerminatingMax = 300 * time.Second // RFC 9132, Section 4.4.4
	DefaultMIDBlock       = 1024
	DefaultMaxAsking      = 4096
	DefaultMaxNames       = 16384
	DefaultMaxAskingOf    = 64
	DefaultMaxNamesOf     = 256
	DefaultSpan           = 450 * time.Second // RFC 9132, Section 4.5.2: heartbeat-interval x missing-hb-allowed
)

// How long an ended or refused mitigation stays visible, so that its observers learn the end, and other fixed times.
const (
	endedVisible   = 10 * time.Second
	refusedVisible = 120 * time.Second
	recreateGap    = 30 * time.Second    // at most one new request per leg that an uplink dropped unasked
	shrinkGap      = 3 * time.Second     // a leg that changed is not made smaller before
	linkDownAfter  = 3 * time.Second     // an uplink without a session counts as down
	linkUpAfter    = 30 * time.Second    // and with one as up again
	retryWithdraw  = 5 * time.Second     // a refused DELETE is tried again
	withdrawAtMost = 5 * time.Minute     // and then after twice as long each time, up to this
	retryStore     = 5 * time.Second     // what could not be stored is tried again
	owedGap        = time.Second         // between two batches of that
	cuidKept       = 24 * time.Hour      // a client's cuid stays its own for so long after nothing is left under it
	movedGap       = 30 * time.Second    // at most one new cuid of ours per uplink
	foreignKept    = 24 * time.Hour      // an unknown indefinite mitigation at an uplink is looked at again by then
	armedKept      = 30 * 24 * time.Hour // an indefinite armed request is to be withdrawn for so long, should its uplink be away
	nameKept       = 60 * time.Second    // a name that nothing rests on is forgotten by then, whatever its TTL
	nameLongest    = time.Hour           // and one that is used is resolved again by then
	minRefresh     = 5 * time.Second     // between two refreshes of a leg of ours
	minRecheck     = 30 * time.Second    // between two resolutions of a name
	sevenEvery     = 3 * time.Second     // status 7 of a deactivated request is told four times (RFC 9132, Section 4.4.2)
	sevenTimes     = 4
)

// CoreConfig is what a Core needs to know.
type CoreConfig struct {
	Policy *policy.Policy // required
	// Identities gives, by uplink, the SHA-256 of the gateway's own credential there, from which a new cuid is
	// computed when none is stored yet. Required for every uplink of the policy.
	Identities map[string][sha256.Size]byte
	// NodeID is put in front of the list of a 5.08 (RFC 8768, Section 3): no spaces. Required.
	NodeID string
	// HideTopology keeps the uplink's list of a 5.08 from clients: they are told NodeID alone (RFC 8768, Section 7).
	HideTopology   bool
	AnswerWait     time.Duration // how long a request waits for the uplink; 0: DefaultAnswerWait
	Terminating    time.Duration // active-but-terminating period; 0: DefaultTerminating
	TerminatingMax time.Duration // its bound when it doubles; 0: DefaultTerminatingMax
	WhenDown       WhenDown      // empty: WhenDownHold
	MIDBlock       uint32        // mids reserved at a time; 0: DefaultMIDBlock
	MaxAsking      int           // requests that wait for a name, beyond it 5.03; 0: DefaultMaxAsking
	MaxNames       int           // names that are known, beyond it requests with unknown ones get 5.03; 0: DefaultMaxNames
	MaxAskingOf    int           // of these requests, those of one client entry; beyond it 5.03; 0: DefaultMaxAskingOf
	MaxNamesOf     int           // names that a client entry brought and nothing rests on, beyond it 5.03; 0: DefaultMaxNamesOf
	// NoMirror keeps requests with trigger-mitigation=false from the uplink: they fire only while the gateway lives.
	NoMirror bool
	// Unmirrored names the uplinks for which that holds anyhow, because their dialect cannot say it of a single request.
	Unmirrored map[string]bool
	// Fits reports whether a leg's request is one datagram at an uplink. nil: every one is.
	Fits func(uplink string, l dots.Leg) bool
	// Span is how long a client may be silent before it is lost, where it has negotiated nothing else; 0: DefaultSpan.
	Span time.Duration
	// NewCUID makes a cuid after a collision (RFC 9132, Section 4.4.1.1). Required.
	NewCUID func() string
}

// validate fills in the defaults and reports what is missing.
func (c *CoreConfig) validate() error {
	if c.Policy == nil || c.NewCUID == nil || c.NodeID == "" {
		return errors.New("gateway: Policy, NewCUID and NodeID are required")
	}
	c.AnswerWait = cmp.Or(c.AnswerWait, DefaultAnswerWait)
	c.Terminating = cmp.Or(c.Terminating, DefaultTerminating)
	c.TerminatingMax = cmp.Or(c.TerminatingMax, max(DefaultTerminatingMax, c.Terminating))
	c.WhenDown = cmp.Or(c.WhenDown, WhenDownHold)
	c.MIDBlock = cmp.Or(c.MIDBlock, DefaultMIDBlock)
	c.MaxAsking = cmp.Or(c.MaxAsking, DefaultMaxAsking)
	c.MaxNames = cmp.Or(c.MaxNames, DefaultMaxNames)
	c.MaxAskingOf = cmp.Or(c.MaxAskingOf, DefaultMaxAskingOf)
	c.MaxNamesOf = cmp.Or(c.MaxNamesOf, DefaultMaxNamesOf)
	c.Span = cmp.Or(c.Span, DefaultSpan)
	if c.WhenDown != WhenDownHold && c.WhenDown != WhenDownRefuse {
		return fmt.Errorf("gateway: unknown WhenDown %q", c.WhenDown)
	}
	return nil
}

package policy

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// Action is what the gateway does with a leg after an uplink's answer.
type Action uint8

// The actions.
const (
	Accept   Action = iota + 1 // the leg stands
	Hold                       // keep the mitigation, try the leg again after RetryAfter
	Refuse                     // the request is refused; this leg is never retried
	Recreate                   // PUT the leg anew under a new, higher mid
	NewCUID                    // the cuid at the uplink is taken: make another one and PUT again
	Alert                      // as Hold, but a new request that ToClient refuses is dropped; a person must look at it
)

// String returns the action's name in lower case.
func (a Action) String() string {
	names := []string{"none", "accept", "hold", "refuse", "recreate", "new-cuid", "alert"}
	return names[min(int(a), len(names)-1)]
}

// redirectAway is for how long the server of a redirect that was ignored is the last to be asked: as long as what it named counts as known
// (RFC 9132, Section 4.6).
const redirectAway = 5 * time.Minute

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
	// ToClient is the refusal that the client is told; nil: 2.01 or 2.04, as held. When Late, the client has its answer: then the
	// refusal is shown as status 7 with its conflict. It never holds a text, mid or name of the uplink's, but for the list of a 5.08.
	ToClient   *dots.Error
	Action     Action
	RetryAfter time.Duration // of Hold and Alert; of a Refuse: nothing is to be asked before, where it is not 0
	// Away is for how long another uplink is to be asked, where one may be; 0: this is no reason to.
	Away time.Duration
	// Alarm says that a person must look at it: with Alert, with a Refuse for a loop through this gateway, with a Hold for a redirect.
	Alarm bool
}

// FanBack translates an uplink's answer to a leg's PUT; nil err is success.
func FanBack(err *dots.Error, s Situation) Outcome {
	switch {
	case err == nil:
		return Outcome{Action: Accept}
	case err.Redirect.Set || err.Code == dots.CodeAlternateServer:
		// RFC 9132, Section 4.6: a redirect is for the gateway, its client is not concerned. The Max-Age is how long the other
		// server is to be used, so it does not say when this one is asked again. One that is told here leads in circles or nowhere: a
		// person must see to it, and the other configured servers are tried meanwhile.
		return Outcome{Action: Hold, RetryAfter: min(s.wait(err.MaxAge), DefaultRetryAfter), Away: redirectAway, Alarm: true}
	}
	return s.failed(err)
}

// failed goes by the code of a refusal.
func (s Situation) failed(err *dots.Error) Outcome {
	switch err.Code {
	case dots.CodeBadRequest:
		return s.badRequest(err)
	case dots.CodeNotFound:
		return s.notFound()
	case dots.CodeConflict:
		return s.conflict(err)
	case dots.CodeTooLarge:
		return s.refuse(dots.Refuse(dots.CodeTooLarge, "too large: split the targets over several mids"))
	case dots.CodeIncomplete, dots.CodeUnprocessable: // of a lost block, and of the session's parameters: none of the client's
		return s.hold(Hold, err.MaxAge)
	case dots.CodeLoop:
		return s.loop(err)
	}
	if err.Code.Class() == 5 {
		return s.unavailable(Hold, err.MaxAge)
	}
	return s.unavailable(Alert, err.MaxAge) // 4.01 and all that tells of a fault between gateway and uplink
}

// notFound asks anew for a leg that the uplink has lost; of a new one the answer makes no sense.
func (s Situation) notFound() Outcome {
	if s.Refresh {
		return Outcome{Action: Recreate}
	}
	return s.unavailable(Alert, 0)
}

// hold keeps the mitigation without a word to the client.
func (s Situation) hold(a Action, after time.Duration) Outcome {
	return Outcome{Action: a, RetryAfter: s.wait(after), Alarm: a == Alert}
}

// unavailable answers 5.03 with Max-Age while there is still a client to answer, and holds otherwise. A refused request is not
// tried again by itself, so Hold becomes Refuse with an answer.
func (s Situation) unavailable(a Action, after time.Duration) Outcome {
	if s.Late {
		return s.hold(a, after)
	}
	if a == Hold {
		a = Refuse
	}
	return Outcome{
		ToClient: unavailable("mitigation not available now", s.wait(after)), Action: a, RetryAfter: s.wait(after), Alarm: a == Alert,
	}
}

// refuse tells the client, now or as status 7.
func (s Situation) refuse(err *dots.Error) Outcome { return Outcome{ToClient: err, Action: Refuse} }

// wait returns the time until the next try.
func (s Situation) wait(told time.Duration) time.Duration {
	return cmp.Or(told, cmp.Or(s.RetryAfter, DefaultRetryAfter))
}

// badRequest tells a fault of the client's from one of ours.
//
// RFC 9132, Section 6: a 4.00 names the keys that the peer must understand and does not.
func (s Situation) badRequest(err *dots.Error) Outcome {
	switch {
	case s.Refresh: // the uplink takes what we repeat for a change: a new mid shows which of us is right
		return Outcome{Action: Recreate}
	case len(err.Keys) == 0:
		return s.refuse(dots.Refuse(dots.CodeBadRequest, "refused upstream: target or parameter"))
	case slices.ContainsFunc(err.Keys, func(k uint64) bool { return !asked(s.Request, k) }):
		return s.unavailable(Alert, err.MaxAge)
	}
	return s.refuse(&dots.Error{Code: dots.CodeBadRequest, Text: "attribute not supported upstream", Keys: slices.Clone(err.Keys)})
}

// Keys of extensions that are in a request only because the client put them there.
const (
	keyActivation  = 52    // RFC 9133, Section 5.1
	keyACLList     = 53    // RFC 9133, Section 5.1
	keyACLName     = 23    // RFC 9132, Section 6
	keySourceFirst = 32768 // RFC 9066, Section 7.2
	keySourceLast  = 32772
)

// asked reports whether an attribute is in the request by the client's wish.
func asked(r dots.Request, key uint64) bool {
	switch {
	case key == keyActivation, key == keyACLList, key == keyACLName:
		return len(r.ACLs) > 0
	case key >= keySourceFirst && key <= keySourceLast:
		return len(r.Source.Prefixes)+len(r.Source.Ports)+len(r.Source.ICMPTypes) > 0
	}
	return slices.ContainsFunc(r.Optional, func(o dots.Raw) bool { return o.Key == key })
}

// conflict translates a 4.09.
//
// RFC 9132, Section 4.4.1.3: a 4.09 tells cause and scope; the one that gets a retry-timer does not ask again before it ends.
func (s Situation) conflict(err *dots.Error) Outcome {
	c := err.Conflict.Value
	if c.Cause == dots.CauseCUIDCollision {
		return s.collision()
	}
	if s.Newer.Set && c.Cause == dots.CauseOverlappingTargets && c.MID == s.Newer {
		return Outcome{Action: Accept} // the one that replaced this leg stands
	}
	t := TranslateConflict(c, s.Own)
	if !err.Conflict.Set {
		t.Cause = dots.CauseOverlappingTargets
	}
	t.Status = cmp.Or(t.Status, dots.ConflictOtherActive)
	out := s.refuse(&dots.Error{Code: dots.CodeConflict, Text: "conflict upstream", Conflict: dots.Some(t)})
	out.RetryAfter = time.Duration(t.RetryTimer) * time.Second
	return out
}

// collision handles a cuid of ours that is another's at the uplink.
//
// RFC 9132, Section 4.4.1.1: a new cuid is made and the request sent again, but not while mitigations are active under the old one.
func (s Situation) collision() Outcome {
	switch {
	case s.CUIDMode == CUIDPerClient:
		return s.refuse(cuidTaken())
	case s.CUIDInUse:
		return s.unavailable(Alert, 0)
	}
	return Outcome{Action: NewCUID}
}

// loop passes a 5.08 on, with our identifier in front of the list, unless it went through us before.
//
// RFC 8768, Section 3: each proxy prepends its identifier and one space where they fit; the one that finds its own does not pass the
// answer on, and tells its people.
func (s Situation) loop(err *dots.Error) Outcome {
	list := printable(err.Text)
	for id := range strings.FieldsSeq(list) {
		if id == s.NodeID {
			return Outcome{ToClient: unavailable("no way to a mitigator", s.wait(err.MaxAge)), Action: Refuse, Alarm: true}
		}
	}
	switch text := s.NodeID + " " + list; {
	case s.HideTopology || list == "":
		list = s.NodeID
	case len(text) <= dots.MaxDiagnostic:
		list = text
	}
	return s.refuse(dots.Refuse(dots.CodeLoop, clip(list, dots.MaxDiagnostic)))
}

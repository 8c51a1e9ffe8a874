package policy

import (
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
)

// View is what policy may read of the core's state. It is called from the caller's goroutine only, inside Admit and its like. One that has the
// methods of Links, too, lets Admit refuse new requests while every uplink that may be asked drains.
type View interface {
	// Resolved returns the latest answer for a name that was asked as a question; false: none yet. The name is in lower
	// case without a trailing dot.
	Resolved(name string) (Resolution, bool)
	// Mitigations counts the live mitigations of the client entry c.Name, under all its cuids.
	Mitigations(c dots.Client) int
	// CUIDs counts the cuids under which the core holds anything of a client entry.
	CUIDs(client string) int
	// Overlaps lists the live mitigations of a domain whose expanded target overlaps t, in an order that depends on the
	// state alone. It may name the mitigation that is asked for, too.
	Overlaps(domain string, t Expanded) []Overlap
}

// Narrow is a View that can say less at less cost: Admit asks it so where only the client's own requests may be in the way.
type Narrow interface {
	// OwnOverlaps is View.Overlaps for the mitigations of one client.
	OwnOverlaps(c dots.Client, domain string, t Expanded) []Overlap
}

// Resolution is the answer for a name.
type Resolution struct {
	Addresses []netip.Addr // empty: the name has no address
	Failed    bool         // no answer could be had
}

// Overlap is a live mitigation whose target overlaps.
type Overlap struct {
	Key          dots.MitigationKey
	OnSignalLoss bool // its trigger-mitigation is false
	// Fired says that such a one has been triggered: toward other clients it counts as an immediate one.
	Fired bool
	// Expanded is its target, from which the overlapping part is told. Where it is empty, the whole of the asked target is.
	Expanded  Expanded
	Remaining dots.Lifetime // seconds; Indefinite or 0: no retry-timer is told
}

// Ask is a mitigation request together with what the core holds of its client and mid.
type Ask struct {
	Client  dots.Client
	Request dots.Request
	// Efficacy marks an efficacy update (RFC 9132, Section 4.4.3).
	Efficacy bool
	// Update lets a known mid carry other parameters, as draft04 allows.
	Update bool
	// Held is the request that the core holds under this client and mid, as it was asked. Not set: the mid is new.
	Held dots.Maybe[dots.Request]
	// Granted is what Held was granted, as this Policy allows it today (Renew); nil: not known. A refresh is not looked into again where that cannot say
	// anything else by now. It is only read.
	Granted *Grant
	// CUIDOwner is the client entry under whose credentials the core holds something with this cuid; empty: nobody.
	CUIDOwner string
	// CUIDProven says that the owner's own credential gives this cuid, as far as the core has seen.
	CUIDProven bool
	// OwnCUID is the cuid that the credential of the asking session gives; empty: not known.
	OwnCUID string
	// Ruling is what the AAA server said of this request. Not set: it was not asked.
	Ruling dots.Maybe[Ruling]
}

// Ruling is an AAA server's answer.
type Ruling struct {
	Allow  bool
	Reason string // why not; for the log and the audit, not for the client
	// Failed says that there was no answer, and that what it said before is not known or too old.
	Failed bool
}

// Verdict is what Admit decides. Exactly one of Deny, Questions, Consult and Grant is meant, in this order.
type Verdict struct {
	// Deny refuses. With dots.CodeSilent there is to be no answer at all. Grant.Informs is valid with it.
	Deny *dots.Error
	// Questions are names to resolve first; then Admit is to be asked again. Never empty strings, no duplicates.
	Questions []string
	// Consult: the AAA server is to be asked, then Admit is to be asked again with its Ruling. Grant is what would be granted.
	Consult bool
	Grant   Grant
}

// Grant is what policy allows of a mitigation. Where that is asked for is Places' to say.
type Grant struct {
	Domain string
	Client dots.Client
	// Request is what is allowed, in the client's words: lifetime clamped, aliases appended and cleared, prefixes without host bits, only those
	// optional attributes that one of the uplinks takes (Policy.Relays says which). Lifetime is absent only in an efficacy update that told none.
	Request dots.Request
	// Expanded is the target for overlap tests between clients, in their words.
	Expanded Expanded
	// Outside is what legs are made of: Request's target and Expanded as the uplinks know them, after address translation.
	Outside Footprint
	// Refresh says that the mid is known and nothing changed but what may: answer 2.04. An Ask with Update whose parameters did
	// change is none: the request held is to be replaced by this one.
	Refresh bool
	// Supersedes are own lower mids of the same trigger type that overlap; they are deleted, ascending.
	Supersedes []uint32
	// Deactivates are own armed requests that an immediate one overlaps, ascending.
	Deactivates []uint32
	// Watch are the names whose resolution is to be checked again when its TTL ends, sorted.
	Watch []string
	// Informs are other clients' mitigations whose clients are to be told of a conflict.
	Informs []Inform
	// DroppedOptional counts optional attributes that do not travel on.
	DroppedOptional int
}

// Inform tells another client of a conflict.
type Inform struct {
	Key      dots.MitigationKey
	Conflict dots.Conflict
}

// Placement is an uplink and one of our cuids there.
type Placement struct {
	Uplink string
	// Scope says what the cuid is computed for: "" for all, "domain:<name>", or "client:<name>:<cuid>".
	Scope string
}

// Place is where a mitigation goes and which part of it.
type Place struct {
	Placement
	Part Footprint
}

// Links is what Places may read of the uplinks.
type Links interface {
	Link(uplink string) Link
}

// Link is the state of an uplink.
type Link struct {
	Up      bool // it has a session, or lost it so recently that nothing is moved yet
	Back    bool // it has a session, maybe for so short that it does not count as up; then it is asked where nobody else may be
	Drained bool // by the operator's command: asked for nothing new
}

// Course is a mitigation on its way to uplinks.
type Course struct {
	Grant Grant
	// At lists the uplinks where it is asked for now, sorted.
	At []string
	// Refused lists the uplinks that refused it for good, and those that gave it up as exceeded, sorted.
	Refused []string
	// Away lists the uplinks that sent it to another server lately where one cannot go, sorted: they are asked where no other is up, or nobody but them may be.
	Away []string
	// Recursed: it goes on from the local mitigators to the uplinks; To names the operator's choice, empty: the domain's.
	Recursed bool
	To       string
}

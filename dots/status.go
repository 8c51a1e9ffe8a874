package dots

import "strconv"

// Status is the state of a mitigation (RFC 9132, Section 4.4.2).
type Status uint8

// The states, with the numbers of the wire. The zero Status is "not known".
const (
	StatusInProgress        Status = 1 // being set up
	StatusMitigated         Status = 2 // traffic is diverted and the attack dropped
	StatusStopped           Status = 3 // the attack is over; the client may withdraw
	StatusExceeded          Status = 4 // beyond the mitigator's capability
	StatusClientWithdrawn   Status = 5 // withdrawn by the client, active but terminating
	StatusTerminated        Status = 6 // finished
	StatusWithdrawn         Status = 7 // withdrawn by the server
	StatusSignalLossArmed   Status = 8 // armed: starts when the session is lost
	statusTextUnknown              = "unknown"
	statusFirst, statusLast        = StatusInProgress, StatusSignalLossArmed
)

// Valid reports whether s is one of the eight states.
func (s Status) Valid() bool { return s >= statusFirst && s <= statusLast }

// Active reports whether the mitigation is in force or being set up, so that mitigation-start is told.
func (s Status) Active() bool {
	return s.Valid() && s != StatusTerminated && s != StatusWithdrawn && s != StatusSignalLossArmed
}

// String returns a short word for people; the wire carries the number.
func (s Status) String() string {
	switch s {
	case StatusInProgress:
		return "in-progress"
	case StatusMitigated:
		return "mitigated"
	case StatusStopped:
		return "attack-stopped"
	case StatusExceeded:
		return "exceeded"
	case StatusClientWithdrawn:
		return "client-withdrawn"
	case StatusTerminated:
		return "terminated"
	case StatusWithdrawn:
		return "withdrawn"
	case StatusSignalLossArmed:
		return "armed"
	}
	return statusTextUnknown + "(" + strconv.Itoa(int(s)) + ")"
}

// AttackStatus is the client's own view in an efficacy update (RFC 9132, Section 4.4.3). Zero is absent.
type AttackStatus uint8

// The values of attack-status.
const (
	AttackUnderAttack AttackStatus = 1
	AttackMitigated   AttackStatus = 2
)

// Valid reports whether a is one of the two values.
func (a AttackStatus) Valid() bool { return a == AttackUnderAttack || a == AttackMitigated }

// ConflictStatus tells which of the conflicting requests is active (RFC 9132, Section 4.4.1.3).
type ConflictStatus uint8

// The values of conflict-status.
const (
	ConflictOtherActive ConflictStatus = 1 // this request is inactive, another one is active
	ConflictThisActive  ConflictStatus = 2
	ConflictAllInactive ConflictStatus = 3
)

// ConflictCause tells why requests conflict (RFC 9132, Section 4.4.1.3).
type ConflictCause uint8

// The values of conflict-cause.
const (
	CauseOverlappingTargets ConflictCause = 1
	CauseAcceptList         ConflictCause = 2
	CauseCUIDCollision      ConflictCause = 3
	CauseLegitimateTraffic  ConflictCause = 4 // RFC 9066
	CauseOverlappingPipes   ConflictCause = 5 // RFC 9244
)

// ACLRef names an access list in a conflict's scope.
type ACLRef struct {
	Name string
	Type string // empty where the sender left it out
}

// Conflict is a conflict-information body (RFC 9132, Section 4.4.1.3).
type Conflict struct {
	Status     ConflictStatus // 0: absent
	Cause      ConflictCause  // 0: absent
	RetryTimer uint32         // seconds; 0: absent
	Scope      Target         // of an overlap
	MID        Maybe[uint32]  // of the request conflicted with, where it is the same client's
	ACLs       []ACLRef       // only where Cause is CauseAcceptList
}

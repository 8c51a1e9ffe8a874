package metrics

import (
	"slices"

	"github.com/dotsgate/dotsgate/dots"
)

// Side is which side of the gateway something happened on.
type Side uint8

// The sides.
const (
	Downstream Side = iota // our clients
	Uplink                 // our servers
	sides
)

// String returns the label's value.
func (s Side) String() string { return pick(int(s), "downstream", "uplink") }

// Transport is what a session runs on.
type Transport uint8

// The transports.
const (
	DTLS Transport = iota // DTLS over UDP
	TLS                   // TLS over TCP
	transports
)

// String returns the label's value.
func (t Transport) String() string { return pick(int(t), "dtls", "tls") }

// Method is a request's method, with the numbers of CoAP (RFC 7252, Section 12.1.1); any other number is "other".
type Method uint8

// The methods.
const (
	MethodGet    Method = 1
	MethodPost   Method = 2
	MethodPut    Method = 3
	MethodDelete Method = 4
)

// String returns the label's value.
func (m Method) String() string { return pick(int(m), labelOther, "get", "post", "put", "delete") }

// LegState is how far a leg has come.
type LegState uint8

// The states of a leg.
const (
	LegWanted      LegState = iota // not yet answered by the uplink
	LegPlaced                      // accepted by the uplink
	LegRefused                     // refused by the uplink and held
	LegWithdrawing                 // being withdrawn
	legStates
)

// String returns the label's value.
func (l LegState) String() string {
	return pick(int(l), "wanted", "placed", "refused", "withdrawing")
}

// refusedKinds are the kinds of calls that the mailbox can refuse, and "other".
func refusedKinds() []string { return []string{"mitigate", "inspect", "withdraw", labelOther} }

// refusedLabel returns what if it is a known kind, else "other".
func refusedLabel(what string) string { return among(what, refusedKinds()) }

// among returns the value if it is a known one, else "other".
func among(value string, known []string) string {
	if slices.Contains(known, value) {
		return value
	}
	return labelOther
}

// Resolution is how looking up a name ended.
type Resolution uint8

// The outcomes.
const (
	Resolved           Resolution = iota
	ResolvedFromCache             // without asking the server
	ResolutionNotFound            // the name does not exist or has no address
	ResolutionTimeout
	ResolutionInsecure // the answer was not validated and had to be
	ResolutionFailed   // any other error
	resolutions
)

// String returns the label's value.
func (r Resolution) String() string {
	return pick(int(r), "found", "cached", "not-found", "timeout", "insecure", "failed")
}

// pick returns the value at i, or "other" for a number outside the set.
func pick(i int, values ...string) string {
	if i < 0 || i >= len(values) {
		return labelOther
	}
	return values[i]
}

// codeLabel returns the label of a response code: the codes a DOTS agent uses by name, any other by its class, so
// that a peer cannot choose it.
func codeLabel(c dots.Code) string {
	switch c {
	case dots.CodeSilent:
		return "silent"
	case dots.CodeCreated, dots.CodeDeleted, dots.CodeValid, dots.CodeChanged, dots.CodeContent, dots.CodeAlternateServer,
		dots.CodeBadRequest, dots.CodeUnauthorized, dots.CodeBadOption, dots.CodeForbidden, dots.CodeNotFound,
		dots.CodeMethodNotAllowed, dots.CodeNotAcceptable, dots.CodeIncomplete, dots.CodeConflict,
		dots.CodePreconditionFailed, dots.CodeTooLarge, dots.CodeUnsupportedFormat, dots.CodeUnprocessable,
		dots.CodeInternal, dots.CodeNotImplemented, dots.CodeUnavailable, dots.CodeLoop:
		return c.String()
	}
	return pick(c.Class(), "0.xx", "1.xx", "2.xx", "3.xx", "4.xx", "5.xx", "6.xx", "7.xx")
}

// statuses returns every status a mitigation can have.
func statuses() []dots.Status {
	return []dots.Status{
		dots.StatusInProgress, dots.StatusMitigated, dots.StatusStopped, dots.StatusExceeded,
		dots.StatusClientWithdrawn, dots.StatusTerminated, dots.StatusWithdrawn, dots.StatusSignalLossArmed,
	}
}

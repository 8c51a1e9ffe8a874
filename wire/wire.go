// Package wire is what the wire profiles have in common: a CoAP message as a profile sees it, a DOTS request and
// a DOTS response as the gateway sees them, and the interface that turns one into the other.
//
// A profile is a dialect: wire/rfc9132 (the default) and wire/draft04. Nothing outside wire/* knows which one it speaks.
package wire

import "github.com/dotsgate/dotsgate/dots"

// Method is a CoAP request method (RFC 7252, Section 5.8).
type Method uint8

// The methods. DOTS uses GET, PUT and DELETE (RFC 9132, Section 3).
const (
	GET    Method = 1
	POST   Method = 2
	PUT    Method = 3
	DELETE Method = 4
)

// CoAPRequest is a CoAP request without what belongs to the transaction: type, message id, token and blocks.
type CoAPRequest struct {
	Method  Method
	Path    []string // Uri-Path, a segment each, raw
	Query   []string // Uri-Query, an option each, raw
	Format  dots.Maybe[uint16]
	Accept  dots.Maybe[uint16]
	IfMatch bool // an If-Match option of zero length is present
	// IfMatchTag says that an If-Match option with a value is present: a precondition that no DOTS resource can meet.
	IfMatchTag bool
	Observe    dots.Maybe[uint32]
	// HopLimit is the option's value as received, whatever its range (RFC 8768, Section 3).
	HopLimit dots.Maybe[uint32]
	Payload  []byte
}

// CoAPResponse is a CoAP response without what belongs to the transaction.
type CoAPResponse struct {
	Code    dots.Code
	Format  dots.Maybe[uint16]
	MaxAge  dots.Maybe[uint32] // seconds
	Payload []byte
}

// Op is what a request asks for.
type Op uint8

// The operations of the signal channel (RFC 9132, Section 4).
const (
	PutMitigation Op = iota + 1
	GetMitigations
	DeleteMitigation
	PutConfig
	GetConfig
	DeleteConfig
	PutHeartbeat
	PutRedirect // call home only (RFC 9066)
)

// Filter is the value of the c query of a GET (RFC 9132, Section 4.4.2).
type Filter uint8

// The values of the c query. The zero Filter is the default, all.
const (
	FilterAll       Filter = 0 // c=a
	FilterConfig    Filter = 1 // c=c: the configuration of the mitigations only
	FilterNonConfig Filter = 2 // c=n: everything else
)

// Request is a DOTS request. Op says which of the fields below are used.
type Request struct {
	Op Op
	// CUID and CDID are path parameters; draft04 has neither. CDID is empty where absent.
	CUID, CDID string
	// MID is absent in a GET of all mitigations. In draft04 it is the mitigation-id.
	MID dots.Maybe[uint32]
	// SID is the session configuration's identifier; draft04 peers send up to 64 bits.
	SID dots.Maybe[uint64]
	// Filter is of GetMitigations.
	Filter Filter
	// Observe: 0 registers, 1 deregisters (RFC 7641, Section 2).
	Observe dots.Maybe[uint32]
	// HopLimit as received or to be sent; absent where the option is (RFC 8768, Section 3).
	HopLimit dots.Maybe[uint32]
	// Efficacy marks a PutMitigation as an efficacy update: an empty If-Match is present (RFC 9132, Section 4.4.3).
	Efficacy bool
	// Mitigation is the body of PutMitigation; its MID repeats the one above.
	Mitigation dots.Request
	// Config is the body of PutConfig.
	Config dots.SessionConfig
	// PeerHB is the body of PutHeartbeat (RFC 9132, Section 4.7).
	PeerHB bool
	// Redirect is the body of PutRedirect.
	Redirect dots.Redirect
}

// Response is a DOTS response to a Request. Code says how it went; a body is present as the operation and the code want it.
type Response struct {
	Code dots.Code
	// MaxAge is in seconds: of a 5.03 or of a configuration.
	MaxAge dots.Maybe[uint32]
	// Reports answer GetMitigations (2.05) and, as notifications, an observation.
	Reports []dots.Report
	// Granted answers PutMitigation (2.01, 2.04).
	Granted dots.Maybe[Granted]
	// Config answers GetConfig (2.05).
	Config dots.SessionConfig
	// Conflict is the body of a 4.09, or goes with a 2.01.
	Conflict dots.Maybe[dots.Conflict]
	// Redirect is the body of a 5.03 that sends elsewhere, and of draft04's 3.00.
	Redirect dots.Maybe[dots.Redirect]
	// Diagnostic is the text payload of an error, at most dots.MaxDiagnostic bytes when sent.
	Diagnostic string
	// Unknown says of a 2.02 that there was nothing to delete. draft04 has 4.04 for it where that was a configuration; else it
	// is not shown.
	Unknown bool
	// ACLs are those that a 5.03 says could not be applied (RFC 9133, Section 3.3).
	ACLs []dots.ACLControl
}

// Granted is what the server grants a mitigation request: its mid and its lifetime (RFC 9132, Section 4.4.1.3).
type Granted struct {
	MID      uint32
	Lifetime dots.Lifetime
}

// Profile is a dialect of the signal channel. A Profile has no state and is safe for concurrent use.
//
// The server's half, DecodeRequest and EncodeResponse, is strict in what it accepts; the client's half,
// EncodeRequest and DecodeResponse, reads leniently, because known servers add nulls, empty arrays and
// attributes of their own. Errors are *dots.Error where a peer is to be told: the code and the text of the answer.
type Profile interface {
	// Name returns "rfc9132" or "draft04".
	Name() string
	// Owns reports whether a request path belongs to this profile, by its first segments. A path that no
	// profile owns is answered 4.04.
	Owns(path []string) bool
	// DecodeRequest reads a request that a client (or, for a heartbeat, either side) sent. Payload is not kept.
	DecodeRequest(m CoAPRequest) (Request, error)
	// EncodeResponse writes the answer to req.
	EncodeResponse(req Request, resp Response) (CoAPResponse, error)
	// EncodeRequest writes a request. An error says that the request cannot be said in this dialect.
	EncodeRequest(req Request) (CoAPRequest, error)
	// DecodeResponse reads the answer to req, or a notification of it.
	DecodeResponse(req Request, m CoAPResponse) (Response, error)
}

// Limits of decoding (an encoded message that goes beyond them is refused with 4.00).
const (
	MaxNesting = 8
	MaxArray   = 1024 // but for the list of mitigations that a server answers: MaxReports
	MaxMap     = 256
	MaxReports = 1 << 17 // above what a node holds; it bounds what a hostile list costs
)

package coap

import (
	"fmt"

	"github.com/plgd-dev/go-coap/v3/message/codes"
)

// Code is a CoAP code: class in the upper three bits, detail in the lower five (RFC 7252, Section 3).
type Code uint8

// Request methods. RFC 7252, Section 12.1.1.
const (
	Empty  = Code(codes.Empty)
	GET    = Code(codes.GET)
	POST   = Code(codes.POST)
	PUT    = Code(codes.PUT)
	DELETE = Code(codes.DELETE)
)

// Response codes. RFC 7252, Section 12.1.2, with those of RFC 7959, RFC 8132, RFC 8516 and RFC 8768;
// AlternateServer is the 3.00 of an older DOTS dialect.
const (
	Created                  = Code(codes.Created)
	Deleted                  = Code(codes.Deleted)
	Valid                    = Code(codes.Valid)
	Changed                  = Code(codes.Changed)
	Content                  = Code(codes.Content)
	Continue                 = Code(codes.Continue)
	AlternateServer          = Code(3 << 5)
	BadRequest               = Code(codes.BadRequest)
	Unauthorized             = Code(codes.Unauthorized)
	BadOption                = Code(codes.BadOption)
	Forbidden                = Code(codes.Forbidden)
	NotFound                 = Code(codes.NotFound)
	MethodNotAllowed         = Code(codes.MethodNotAllowed)
	NotAcceptable            = Code(codes.NotAcceptable)
	RequestEntityIncomplete  = Code(codes.RequestEntityIncomplete)
	Conflict                 = Code(4<<5 | 9)
	PreconditionFailed       = Code(codes.PreconditionFailed)
	RequestEntityTooLarge    = Code(codes.RequestEntityTooLarge)
	UnsupportedContentFormat = Code(codes.UnsupportedMediaType)
	UnprocessableEntity      = Code(4<<5 | 22)
	TooManyRequests          = Code(codes.TooManyRequests)
	InternalServerError      = Code(codes.InternalServerError)
	NotImplemented           = Code(codes.NotImplemented)
	BadGateway               = Code(codes.BadGateway)
	ServiceUnavailable       = Code(codes.ServiceUnavailable)
	GatewayTimeout           = Code(codes.GatewayTimeout)
	ProxyingNotSupported     = Code(codes.ProxyingNotSupported)
	HopLimitReached          = Code(5<<5 | 8)
)

// Signalling codes over TCP. RFC 8323, Section 5.
const (
	codeCSM     = Code(codes.CSM)
	codePing    = Code(codes.Ping)
	codePong    = Code(codes.Pong)
	codeRelease = Code(codes.Release)
	codeAbort   = Code(codes.Abort)
)

// Class returns the class of the code: 0 for a request, 2 for success, 4 for a client's error, 5 for a server's.
func (c Code) Class() int { return int(c >> 5) }

// Success reports whether the code is of class 2.
func (c Code) Success() bool { return c.Class() == 2 }

// IsRequest reports whether the code is a method: class 0 and not empty.
func (c Code) IsRequest() bool { return c.Class() == 0 && c != Empty }

// IsResponse reports whether the code is of one of the classes 2 to 5. Class 3 is reserved by RFC 7252, Section 3,
// but an older DOTS dialect answers with 3.00, so it counts.
func (c Code) IsResponse() bool { return c.Class() >= 2 && c.Class() <= 5 }

// String returns the code in the form "2.04".
func (c Code) String() string { return fmt.Sprintf("%d.%02d", c>>5, c&0x1f) }

package dots

// Code is a CoAP response code, class in the upper three bits and detail in the lower five
// (RFC 7252, Section 3). The zero Code means "no answer at all".
type Code uint8

// The codes a DOTS agent answers with. RFC 9132, Section 4 names those of the signal channel;
// AlternateServer is the 3.00 of the draft04 profile.
const (
	CodeSilent             Code = 0
	CodeCreated            Code = 2<<5 | 1
	CodeDeleted            Code = 2<<5 | 2
	CodeValid              Code = 2<<5 | 3
	CodeChanged            Code = 2<<5 | 4
	CodeContent            Code = 2<<5 | 5
	CodeAlternateServer    Code = 3 << 5
	CodeBadRequest         Code = 4 << 5
	CodeUnauthorized       Code = 4<<5 | 1
	CodeBadOption          Code = 4<<5 | 2
	CodeForbidden          Code = 4<<5 | 3
	CodeNotFound           Code = 4<<5 | 4
	CodeMethodNotAllowed   Code = 4<<5 | 5
	CodeNotAcceptable      Code = 4<<5 | 6
	CodeIncomplete         Code = 4<<5 | 8
	CodeConflict           Code = 4<<5 | 9
	CodePreconditionFailed Code = 4<<5 | 12
	CodeTooLarge           Code = 4<<5 | 13
	CodeUnsupportedFormat  Code = 4<<5 | 15
	CodeUnprocessable      Code = 4<<5 | 22
	CodeInternal           Code = 5 << 5
	CodeNotImplemented     Code = 5<<5 | 1
	CodeUnavailable        Code = 5<<5 | 3
	CodeLoop               Code = 5<<5 | 8
)

// Class returns the class of the code, 2 for success, 4 for a client's error, 5 for a server's.
func (c Code) Class() int { return int(c >> 5) }

// Success reports whether the code is of class 2.
func (c Code) Success() bool { return c.Class() == 2 }

// String returns the code in the form "2.04".
func (c Code) String() string {
	detail := byte(c & 0x1f)
	return string([]byte{'0' + byte(c>>5), '.', '0' + detail/10, '0' + detail%10})
}

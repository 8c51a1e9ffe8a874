package wire

import "github.com/dotsgate/dotsgate/dots"

// ResponseError says that a peer's answer cannot be used, and why. It is deliberately no *dots.Error: the
// answering peer is at fault, so nothing of it is for the client that asked.
type ResponseError struct {
	Code dots.Code // of the answer
	Text string
}

// Error returns what is wrong with which answer.
func (e *ResponseError) Error() string { return "reading an answer " + e.Code.String() + ": " + e.Text }

// Expects tells whether a success code answers the operation. RFC 9132, Section 4.4.1: a PUT is answered 2.01 or 2.04;
// Section 4.4.4: a DELETE 2.02; Section 4.4.2: a GET 2.05. A known server answers a PUT or a DELETE with 2.05
// and does not execute it.
func (o Op) Expects(code dots.Code) bool {
	switch o {
	case GetMitigations, GetConfig:
		return code == dots.CodeContent
	case DeleteMitigation, DeleteConfig:
		return code == dots.CodeDeleted
	}
	return code == dots.CodeCreated || code == dots.CodeChanged
}

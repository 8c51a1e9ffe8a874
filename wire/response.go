package wire

import (
	"errors"

	"github.com/dotsgate/dotsgate/dots"
)

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

// AnswerBody tells whether a success has a body to read, which must be of the format. A known server answers a PUT of
// the configuration with a null, and an answer to a mitigation request may lack its body.
func (o Op) AnswerBody(m CoAPResponse, format uint16) (bool, error) {
	get := o == GetMitigations || o == GetConfig
	if !get && (o != PutMitigation || len(m.Payload) == 0) {
		return false, nil
	}
	if m.Format.Or(format) != format {
		return false, &ResponseError{Code: m.Code, Text: "of another content format"}
	}
	return true, nil
}

// Unusable makes a ResponseError of what is wrong with the body of an answer.
func Unusable(code dots.Code, err error) error {
	var r *ResponseError
	if errors.As(err, &r) {
		return r
	}
	return &ResponseError{Code: code, Text: dots.AsError(err).Text}
}

package rfc9132

import (
	"errors"
	"fmt"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// Responses (RFC 9132, Section 4): those of class 2 carry application/dots+cbor or nothing, errors carry a diagnostic
// text, except a 4.09 with a conflict and a 5.03 with a redirection or with access lists.

// EncodeResponse writes the answer to req. An error says that resp is none.
func (Profile) EncodeResponse(req wire.Request, resp wire.Response) (wire.CoAPResponse, error) {
	m := wire.CoAPResponse{Code: resp.Code, MaxAge: resp.MaxAge}
	var w wire.Writer
	var err error
	switch resp.Code.Class() {
	case 2:
		err = writeSuccess(&w, req, resp)
	case 4, 5:
		writeRefusal(&w, req, resp)
		if w.Bytes() == nil {
			m.Payload = wire.Diagnostic(resp.Code, resp.Diagnostic)
			return m, nil
		}
	default:
		err = errors.New("no code of a response: " + resp.Code.String())
	}
	if err != nil {
		return wire.CoAPResponse{}, fmt.Errorf("encoding a response: %w", err)
	}
	if m.Payload = w.Bytes(); m.Payload != nil {
		m.Format = dots.Some[uint16](contentFormat)
	}
	return m, nil
}

func writeSuccess(w *wire.Writer, req wire.Request, resp wire.Response) error {
	switch req.Op {
	case wire.PutMitigation:
		if g := resp.Granted; g.Set {
			writeVerdict(w, verdict{mid: dots.Some(g.Value.MID), lifetime: dots.Some(g.Value.Lifetime), conflict: resp.Conflict})
		}
	case wire.GetMitigations:
		return writeReports(w, resp.Reports, req.Filter)
	case wire.GetConfig:
		writeConfig(w, resp.Config, true)
	}
	return nil
}

func writeRefusal(w *wire.Writer, req wire.Request, resp wire.Response) {
	switch {
	case resp.Code == dots.CodeConflict && resp.Conflict.Set:
		v := verdict{mid: req.MID, conflict: resp.Conflict}
		if resp.Conflict.Value.Cause == dots.CauseCUIDCollision {
			// RFC 9132, Section 4.4.1: nothing but the cause.
			v.mid = dots.Maybe[uint32]{}
		}
		writeVerdict(w, v)
	case resp.Code == dots.CodeUnavailable && resp.Redirect.Set:
		writeRedirect(w, resp.Redirect.Value, baseRedirect())
	case resp.Code == dots.CodeUnavailable && len(resp.ACLs) > 0:
		// RFC 9133, Section 3.3: the access lists that could not be applied.
		writeVerdict(w, verdict{mid: req.MID, acls: resp.ACLs})
	}
}

// DecodeResponse reads the answer to req, or a notification, leniently. An error is a *wire.ResponseError.
func (p Profile) DecodeResponse(req wire.Request, m wire.CoAPResponse) (wire.Response, error) {
	resp := wire.Response{Code: m.Code, MaxAge: m.MaxAge}
	switch m.Code.Class() {
	case 2:
		if !req.Op.Expects(m.Code) {
			return resp, &wire.ResponseError{Code: m.Code, Text: "does not answer what was asked"}
		}
		if err := p.readSuccess(req, m, &resp); err != nil {
			return wire.Response{Code: m.Code}, wire.Unusable(m.Code, err)
		}
		return resp, nil
	case 4, 5:
		p.readRefusal(m, &resp)
		return resp, nil
	}
	return resp, &wire.ResponseError{Code: m.Code, Text: "no code of a response"}
}

// readSuccess reads the body of a success, where one is expected.
func (p Profile) readSuccess(req wire.Request, m wire.CoAPResponse, resp *wire.Response) error {
	if read, err := req.Op.AnswerBody(m, contentFormat); !read {
		return err
	}
	r, err := open(p.check, m.Payload, true)
	if err != nil {
		return err
	}
	switch req.Op {
	case wire.GetMitigations:
		resp.Reports, err = readReports(r, req.Filter)
	case wire.GetConfig:
		resp.Config, err = readConfig(r)
	default:
		err = readGranted(r, resp)
	}
	return err
}

func readGranted(r *reader, resp *wire.Response) error {
	if r.Null() {
		return nil
	}
	v, err := readVerdict(r)
	resp.Conflict = v.conflict
	if v.mid.Set && v.lifetime.Set {
		resp.Granted = dots.Some(wire.Granted{MID: v.mid.Value, Lifetime: v.lifetime.Value})
	}
	return err
}

// readRefusal reads the body of an error. The code says what matters, so a body that cannot be read is no error of its own.
func (p Profile) readRefusal(m wire.CoAPResponse, resp *wire.Response) {
	if !isCBOR(m) {
		resp.Diagnostic = wire.ReadDiagnostic(m.Payload)
		return
	}
	if r, err := open(p.check, m.Payload, true); err == nil {
		if v, err := readVerdict(r); err == nil {
			resp.Conflict, resp.ACLs = v.conflict, v.acls
			return
		}
	}
	if r, err := open(p.check, m.Payload, true); err == nil {
		if to, err := readRedirect(r, baseRedirect()); err == nil {
			resp.Redirect = dots.Some(to)
		}
	}
}

// isCBOR tells a body from a text: by its format, or else by a first byte that begins a map and no text.
func isCBOR(m wire.CoAPResponse) bool {
	if m.Format.Set {
		return m.Format.Value == contentFormat
	}
	return len(m.Payload) > 0 && wire.Major(m.Payload[0]>>5) == wire.MajorMap
}

package draft04

import (
	"fmt"
	"math"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// Responses: those of class 2 and 3 carry application/cbor or nothing, errors a diagnostic text
// (draft-ietf-dots-signal-channel-04, Section 5.1).

// EncodeResponse writes the answer to req, as this dialect says it. An error says that resp is none.
func (Profile) EncodeResponse(req wire.Request, resp wire.Response) (wire.CoAPResponse, error) {
	resp = translateCode(req, resp)
	m := wire.CoAPResponse{Code: resp.Code, MaxAge: resp.MaxAge}
	var w wire.Writer
	switch resp.Code.Class() {
	case 2:
		if code := writeSuccess(&w, req, resp); code != resp.Code {
			return wire.CoAPResponse{Code: code, Payload: wire.Diagnostic(code, "")}, nil
		}
	case 3:
		writeRedirect(&w, resp.Redirect.Value, resp.MaxAge)
		m.MaxAge = dots.Maybe[uint32]{}
	case 4, 5:
		m.Payload = wire.Diagnostic(resp.Code, resp.Diagnostic)
		return m, nil
	default:
		return wire.CoAPResponse{}, fmt.Errorf("encoding a response: no code of a response: %v", resp.Code)
	}
	if m.Payload = w.Bytes(); m.Payload != nil {
		m.Format = dots.Some[uint16](contentFormat)
	}
	return m, nil
}

// translateCode turns a code into the one that this dialect has for it.
func translateCode(req wire.Request, resp wire.Response) wire.Response {
	switch {
	case resp.Redirect.Set && resp.Code == dots.CodeUnavailable:
		resp.Code = dots.CodeAlternateServer
	case resp.Code == dots.CodeAlternateServer && !resp.Redirect.Set:
		resp.Code = dots.CodeUnavailable
	case resp.Code == dots.CodeConflict:
		resp.Code = dots.CodeBadRequest
		if resp.Diagnostic == "" {
			resp.Diagnostic = conflictText(resp.Conflict.Value.Cause)
		}
	case resp.Code == dots.CodeBadRequest && req.Efficacy:
		// draft-ietf-dots-signal-channel-04, Section 5.3.4: parameters that differ are answered 4.02.
		resp.Code = dots.CodeBadOption
	}
	return resp
}

// conflictText says a conflict's cause to a peer that has no conflict-information.
func conflictText(cause dots.ConflictCause) string {
	switch cause {
	case dots.CauseOverlappingTargets:
		return "conflict: overlapping targets"
	case dots.CauseAcceptList:
		return "conflict with an accept-list"
	case dots.CauseCUIDCollision:
		return "conflict of client identifiers"
	case dots.CauseLegitimateTraffic:
		return "conflict: legitimate traffic"
	}
	return "conflict"
}

// writeSuccess writes the body of a success and returns its code, which is 4.04 where all that was asked for
// is in a state that this dialect does not have, or where there was no configuration to delete.
func writeSuccess(w *wire.Writer, req wire.Request, resp wire.Response) dots.Code {
	switch req.Op {
	case wire.PutMitigation:
		if resp.Granted.Set {
			writeGranted(w, resp.Granted.Value)
		}
	case wire.GetMitigations:
		if n := writeReports(w, resp.Reports, req.Filter); n == 0 && len(resp.Reports) > 0 {
			return dots.CodeNotFound
		}
	case wire.GetConfig:
		writeConfigAnswer(w, resp.Config)
	case wire.DeleteConfig:
		if resp.Unknown {
			// draft-ietf-dots-signal-channel-04, Section 5.4.3: 4.04 for a session-id that is not known.
			return dots.CodeNotFound
		}
	}
	return resp.Code
}

// DecodeResponse reads the answer to req, or a notification, leniently. An error is a *wire.ResponseError.
func (p Profile) DecodeResponse(req wire.Request, m wire.CoAPResponse) (wire.Response, error) {
	resp := wire.Response{Code: m.Code, MaxAge: m.MaxAge}
	var err error
	switch {
	case m.Code.Class() == 2 && req.Op.Expects(m.Code):
		err = p.readSuccess(req, m, &resp)
	case m.Code.Class() == 2:
		return resp, &wire.ResponseError{Code: m.Code, Text: "does not answer what was asked"}
	case m.Code == dots.CodeAlternateServer:
		err = p.readAlternate(m, &resp)
	case m.Code.Class() == 4, m.Code.Class() == 5:
		if m.Code == dots.CodeBadOption {
			resp.Code = dots.CodeBadRequest
		}
		resp.Diagnostic = wire.ReadDiagnostic(m.Payload)
	default:
		return resp, &wire.ResponseError{Code: m.Code, Text: "no code of a response"}
	}
	if err != nil {
		return wire.Response{Code: m.Code}, wire.Unusable(m.Code, err)
	}
	return resp, nil
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
		resp.Config, err = readConfigAnswer(r)
		if !resp.MaxAge.Set {
			// draft-ietf-dots-signal-channel-04, Section 5.4: nothing is said of an age, so what was told holds until it is changed.
			resp.MaxAge = dots.Some[uint32](math.MaxUint32)
		}
	default:
		if !r.Null() {
			resp.Granted, err = readGranted(r)
		}
	}
	return err
}

// readAlternate reads a 3.00 as the 5.03 that it is elsewhere; its least ttl is the Max-Age.
func (p Profile) readAlternate(m wire.CoAPResponse, resp *wire.Response) error {
	r, err := open(p.check, m.Payload, true)
	if err != nil {
		return err
	}
	to, err := readRedirect(r)
	if err != nil {
		return err
	}
	resp.Code = dots.CodeUnavailable
	resp.Redirect = dots.Some(to)
	if len(to.TTLs) > 0 {
		resp.MaxAge = dots.Some(slices.Min(to.TTLs))
	}
	return nil
}

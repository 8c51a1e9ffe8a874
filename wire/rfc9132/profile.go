package rfc9132

import (
	"errors"
	"fmt"
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// contentFormat is application/dots+cbor, and the number of its tag too (RFC 9132, Section 10.4 and Section 10.5).
const contentFormat = 271

// Profile is the dialect of RFC 9132, a wire.Profile. It has no state and is safe for concurrent use; the zero Profile is unusable.
type Profile struct {
	check wire.Checker
}

// New returns the profile.
func New() Profile { return Profile{check: wire.NewChecker()} }

// Name returns "rfc9132".
func (Profile) Name() string { return "rfc9132" }

// Owns reports whether a path is below /.well-known/dots (RFC 9132, Section 4.2).
func (Profile) Owns(path []string) bool {
	return len(path) >= 2 && path[0] == ".well-known" && path[1] == "dots"
}

// DecodeRequest reads a request strictly. An error is a *dots.Error with the code of the answer: 4.04 and 4.05 for what is no resource or
// no method of one, 4.06 and 4.15 for another format, 4.00 for all else.
func (p Profile) DecodeRequest(m wire.CoAPRequest) (wire.Request, error) {
	if !p.Owns(m.Path) || len(m.Path) < 3 {
		return wire.Request{}, dots.Refuse(dots.CodeNotFound, "no such resource")
	}
	op, err := operation(m.Path[2], m.Method)
	if err != nil {
		return wire.Request{}, err
	}
	path, err := readParameters(op, m.Path[3:])
	if err != nil {
		return wire.Request{}, err
	}
	if err := checkOptions(op, m); err != nil {
		return wire.Request{}, err
	}
	req := wire.Request{
		Op: op, CUID: path.cuid, CDID: path.cdid, MID: path.mid, Observe: m.Observe, HopLimit: m.HopLimit,
		Efficacy: op == wire.PutMitigation && m.IfMatch,
	}
	if path.sid.Set {
		req.SID = dots.Some(uint64(path.sid.Value))
	}
	if op == wire.GetMitigations {
		req.Filter, err = readFilter(m.Query)
	} else if m.Method == wire.PUT {
		err = p.readBody(&req, m)
	}
	if err != nil {
		return wire.Request{}, err
	}
	return req, nil
}

// checkOptions checks what the options say of formats and preconditions.
func checkOptions(op wire.Op, m wire.CoAPRequest) error {
	if m.Accept.Set && m.Accept.Value != contentFormat {
		return dots.Refuse(dots.CodeNotAcceptable, "only application/dots+cbor (271)")
	}
	if m.Method == wire.GET {
		return nil
	}
	if m.IfMatchTag || m.IfMatch && op != wire.PutMitigation {
		return dots.Refuse(dots.CodeBadRequest, "If-Match: nothing to match")
	}
	return nil
}

// readBody reads the body of a PUT.
func (p Profile) readBody(req *wire.Request, m wire.CoAPRequest) error {
	// RFC 9132, Section 10.4: a body is application/dots+cbor.
	if len(m.Payload) > 0 && m.Format != dots.Some[uint16](contentFormat) {
		return dots.Refuse(dots.CodeUnsupportedFormat, "only application/dots+cbor (271)")
	}
	r, err := open(p.check, m.Payload, false)
	if err != nil {
		return err
	}
	switch req.Op {
	case wire.PutMitigation:
		req.Mitigation, err = readRequest(r, req.Efficacy)
		req.Mitigation.MID = req.MID.Value
	case wire.PutConfig:
		req.Config, err = readConfig(r)
	case wire.PutHeartbeat:
		req.PeerHB, err = readHeartbeat(r)
	default:
		req.Redirect, err = readRedirect(r, callHomeRedirect())
	}
	return err
}

// EncodeRequest writes a request. An error says what of it cannot be said in this dialect.
func (Profile) EncodeRequest(req wire.Request) (wire.CoAPRequest, error) {
	if err := sayable(req); err != nil {
		return wire.CoAPRequest{}, fmt.Errorf("encoding a request: %w", err)
	}
	m := wire.CoAPRequest{
		Path: writePath(req), Query: writeQuery(req), IfMatch: req.Efficacy, Observe: req.Observe, HopLimit: req.HopLimit,
	}
	var w wire.Writer
	var err error
	m.Method = wire.PUT
	switch req.Op {
	case wire.PutMitigation:
		err = writeRequest(&w, req.Mitigation, req.Efficacy)
	case wire.PutConfig:
		writeConfig(&w, req.Config, false)
	case wire.PutHeartbeat:
		writeHeartbeat(&w, req.PeerHB)
	case wire.PutRedirect:
		writeRedirect(&w, req.Redirect, callHomeRedirect())
	case wire.GetMitigations, wire.GetConfig:
		m.Method = wire.GET
	case wire.DeleteMitigation, wire.DeleteConfig:
		m.Method = wire.DELETE
	}
	if err != nil {
		return wire.CoAPRequest{}, fmt.Errorf("encoding a request: %w", err)
	}
	if m.Payload = w.Bytes(); m.Payload != nil {
		m.Format = dots.Some[uint16](contentFormat)
	}
	return m, nil
}

// sayable returns an error where the path parameters or the configuration of a request are not of this dialect.
func sayable(req wire.Request) error {
	if req.Op < wire.PutMitigation || req.Op > wire.PutRedirect {
		return errors.New("no such operation")
	}
	_, must := allowed(req.Op)
	for _, name := range must {
		if !has(&req, name) {
			return errors.New(name + " missing")
		}
	}
	switch {
	case req.SID.Value > math.MaxUint32:
		return errors.New("sid beyond 32 bits")
	case req.Efficacy && req.Op != wire.PutMitigation:
		return errors.New("only a mitigation has an efficacy update")
	case req.Op == wire.PutConfig:
		return configSayable(req.Config)
	}
	return nil
}

// has reports whether a request has a path parameter.
func has(req *wire.Request, name string) bool {
	switch name {
	case "cuid":
		return req.CUID != ""
	case "mid":
		return req.MID.Set
	}
	return req.SID.Set
}

func configSayable(c dots.SessionConfig) error {
	if c.TriggerMitigation.Set {
		return errors.New("trigger-mitigation is per mitigation")
	}
	if empty(c.Mitigating, false) && empty(c.Idle, false) {
		return errors.New("no parameter")
	}
	return nil
}

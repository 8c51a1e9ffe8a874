package draft04

import (
	"errors"
	"fmt"
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// contentFormat is application/cbor (RFC 7252, Section 12.3).
const contentFormat = 60

// The resources under /v1/dots-signal.
const (
	resourceSignal = "signal"
	resourceConfig = "config"
)

// Profile is the older dialect, a wire.Profile. It has no state and is safe for concurrent use; the zero Profile is unusable.
type Profile struct {
	check wire.Checker
}

// New returns the profile.
func New() Profile { return Profile{check: wire.NewChecker()} }

// Name returns "draft04".
func (Profile) Name() string { return "draft04" }

// Owns reports whether a path is below /v1/dots-signal.
func (Profile) Owns(path []string) bool {
	return len(path) >= 2 && path[0] == "v1" && path[1] == "dots-signal"
}

// DecodeRequest reads a request strictly. An error is a *dots.Error with the code of the answer: 4.04, 4.05, 4.06 and
// 4.15 as in every CoAP server, 4.02 for invalid and unknown parameters, 4.00 for missing ones.
func (p Profile) DecodeRequest(m wire.CoAPRequest) (wire.Request, error) {
	if !p.Owns(m.Path) || len(m.Path) != 3 {
		return wire.Request{}, dots.Refuse(dots.CodeNotFound, "no such resource")
	}
	op, err := operation(m.Path[2], m.Method)
	if err != nil {
		return wire.Request{}, err
	}
	if err := checkOptions(op, m); err != nil {
		return wire.Request{}, err
	}
	req := wire.Request{Op: op, Observe: m.Observe, HopLimit: m.HopLimit}
	if op == wire.GetMitigations {
		filter, wrong := wire.ParseFilter(m.Query)
		if wrong != "" {
			return wire.Request{}, dots.Refuse(dots.CodeBadOption, wrong)
		}
		req.Filter = filter
	}
	if len(m.Payload) == 0 && m.Method == wire.GET {
		return req, nil
	}
	if err := p.readBody(&req, m); err != nil {
		return wire.Request{}, err
	}
	return req, nil
}

// operation tells what a method on a resource is.
func operation(resource string, method wire.Method) (wire.Op, error) {
	var ops [wire.DELETE + 1]wire.Op
	switch resource {
	case resourceSignal:
		ops[wire.GET], ops[wire.PUT], ops[wire.DELETE] = wire.GetMitigations, wire.PutMitigation, wire.DeleteMitigation
	case resourceConfig:
		ops[wire.GET], ops[wire.PUT], ops[wire.DELETE] = wire.GetConfig, wire.PutConfig, wire.DeleteConfig
	default:
		return 0, dots.Refuse(dots.CodeNotFound, "no such resource")
	}
	if method > wire.DELETE || ops[method] == 0 {
		return 0, dots.Refuse(dots.CodeMethodNotAllowed, "method not allowed")
	}
	return ops[method], nil
}

// checkOptions checks what the options say of formats and preconditions. Bodies of every method have a meaning here.
func checkOptions(op wire.Op, m wire.CoAPRequest) error {
	if m.Accept.Set && m.Accept.Value != contentFormat {
		return dots.Refuse(dots.CodeNotAcceptable, "only application/cbor (60)")
	}
	if len(m.Payload) > 0 && m.Format != dots.Some[uint16](contentFormat) {
		return dots.Refuse(dots.CodeUnsupportedFormat, "only application/cbor (60)")
	}
	if m.Method != wire.GET && (m.IfMatchTag || m.IfMatch && op != wire.PutMitigation) {
		return dots.Refuse(dots.CodeBadRequest, "If-Match: nothing to match")
	}
	return nil
}

func (p Profile) readBody(req *wire.Request, m wire.CoAPRequest) error {
	r, err := open(p.check, m.Payload, false)
	if err != nil {
		return err
	}
	switch req.Op {
	case wire.PutMitigation:
		req.Mitigation, err = readRequest(r)
		req.MID = dots.Some(req.Mitigation.MID)
		req.Efficacy = req.Mitigation.Attack != 0
		if err == nil && m.IfMatch && !req.Efficacy {
			// draft-ietf-dots-signal-channel-04, Section 5.3.4: attack-status is mandatory.
			err = r.Missing(keyAttackStatus)
		}
	case wire.PutConfig:
		req.Config, req.SID, err = readConfig(r)
	case wire.GetMitigations, wire.DeleteMitigation:
		req.MID, err = readID(r)
	default:
		req.SID, err = readSessionID(r)
	}
	return err
}

// EncodeRequest writes a request. An error says what of it cannot be said in this dialect; where that is what the client
// asked for, it is a *dots.Error with the code to answer.
func (Profile) EncodeRequest(req wire.Request) (wire.CoAPRequest, error) {
	m := wire.CoAPRequest{
		Path: []string{"v1", "dots-signal", resourceSignal}, IfMatch: req.Efficacy, Observe: req.Observe, HopLimit: req.HopLimit,
	}
	var w wire.Writer
	if err := writeBody(&w, req); err != nil {
		return wire.CoAPRequest{}, fmt.Errorf("encoding a request: %w", err)
	}
	switch req.Op {
	case wire.PutMitigation, wire.PutConfig:
		m.Method = wire.PUT
	case wire.GetMitigations:
		m.Method, m.Query = wire.GET, req.Filter.Query()
	case wire.GetConfig:
		m.Method = wire.GET
	default:
		m.Method = wire.DELETE
	}
	if req.Op == wire.PutConfig || req.Op == wire.GetConfig || req.Op == wire.DeleteConfig {
		m.Path[2] = resourceConfig
	}
	if m.Payload = w.Bytes(); m.Payload != nil {
		m.Format = dots.Some[uint16](contentFormat)
	}
	return m, nil
}

// writeBody writes the body of a request, which holds its id.
func writeBody(w *wire.Writer, req wire.Request) error {
	if req.MID.Value > maxID || req.SID.Value > math.MaxInt32 {
		return errors.New("id beyond 31 bits")
	}
	switch req.Op {
	case wire.PutMitigation:
		if !req.MID.Set {
			return errors.New("mitigation-id missing")
		}
		req.Mitigation.MID = req.MID.Value
		return writeRequest(w, req.Mitigation, req.Efficacy)
	case wire.GetMitigations, wire.DeleteMitigation:
		if !req.MID.Set && req.Op == wire.DeleteMitigation {
			return errors.New("mitigation-id missing")
		}
		if req.MID.Set {
			writeID(w, req.MID.Value)
		}
		return nil
	case wire.PutConfig, wire.GetConfig, wire.DeleteConfig:
		return writeConfigBody(w, req)
	}
	// draft-ietf-dots-signal-channel-04, Section 5.6: heartbeats are CoAP's own pings.
	return errors.New("no such request in this dialect")
}

func writeConfigBody(w *wire.Writer, req wire.Request) error {
	switch {
	case req.Op == wire.GetConfig && !req.SID.Set:
		return nil
	case !req.SID.Set:
		return errors.New("session-id missing")
	case req.Op == wire.PutConfig:
		return writeConfig(w, req.Config, req.SID.Value)
	}
	w.BeginMap()
	w.Key(keySignalConfig)
	w.BeginMap()
	w.Key(keySessionID)
	w.Uint(req.SID.Value)
	w.EndMap()
	w.EndMap()
	return nil
}

package upstream

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// Handler answers what uplinks ask on our sessions: heartbeats with 2.04, anything else with 4.04 or 4.05. It is the
// Handler of every session that a LinkConfig dials.
func (m *Manager) Handler() coap.Handler { return coap.HandlerFunc(m.serve) }

// serve answers one request of an uplink.
func (m *Manager) serve(ex *coap.Exchange) {
	req := carry.Request(ex.Request())
	l := m.owner(ex.Session())
	profile := m.profile(l, req.Path)
	if profile == nil {
		ex.Respond(&coap.Message{Code: coap.NotFound, Payload: []byte("no such resource")})
		return
	}
	r, err := profile.DecodeRequest(req)
	var resp wire.Response
	switch {
	case err != nil:
		resp = refusal(err)
	case r.Op != wire.PutHeartbeat:
		// RFC 9132, Section 4: the other resources are the server's.
		resp = refusal(dots.Refuse(dots.CodeNotFound, "no such resource"))
	default:
		// RFC 9132, Section 4.7: a heartbeat is answered with 2.04.
		resp.Code = dots.CodeChanged
		if l != nil {
			l.peerHeartbeat(ex.Session(), r.PeerHB)
		}
	}
	ex.Respond(encode(profile, r, resp))
}

// servers are the links to servers.
func (m *Manager) servers() []*link {
	var links []*link
	for _, r := range m.all() {
		if l, ok := r.line.(*link); ok {
			links = append(links, l)
		}
	}
	return links
}

// owner finds the link of a session; nil: it is not taken over yet, or not any more.
func (m *Manager) owner(conn *coap.Session) *link {
	for _, l := range m.servers() {
		l.mu.Lock()
		mine := l.session != nil && l.session.conn == conn
		l.mu.Unlock()
		if mine {
			return l
		}
	}
	return nil
}

// profile finds the dialect of a request: the link's, or while that is not known any that the path belongs to; nil: none.
func (m *Manager) profile(known *link, path []string) wire.Profile {
	for _, l := range m.servers() {
		if (known == nil || known == l) && l.profile.Owns(path) {
			return l.profile
		}
	}
	return nil
}

// peerHeartbeat notes a heartbeat of the uplink's.
func (l *link) peerHeartbeat(conn *coap.Session, receiving bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.session; s != nil && s.conn == conn {
		s.pulse.peer(l.cfg.Now(), receiving)
	}
	l.rouse()
}

// refusal is a response that refuses.
func refusal(err error) wire.Response {
	e := dots.AsError(err)
	return wire.Response{Code: e.Code, Diagnostic: e.Text}
}

// encode writes a response, or 5.00 where it cannot be written.
func encode(profile wire.Profile, req wire.Request, resp wire.Response) *coap.Message {
	out, err := profile.EncodeResponse(req, resp)
	if err != nil {
		e := dots.AsError(err)
		return &coap.Message{Code: coap.Code(e.Code), Payload: []byte(e.Text)}
	}
	return carry.ResponseMessage(out)
}

package downstream

import (
	"cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// client returns who asks. RFC 9132, Section 4.4: a client is its authenticated identity and its cuid; a dialect
// without cuids has the one that the credential gives. Behind a trusted gateway the cdid belongs to it, too.
func (c *call) client() dots.Client {
	return dots.Client{Name: c.entry, CUID: cmp.Or(c.req.CUID, c.peer.cuid), CDID: c.cdid()}
}

// cdid returns the received cdid where its sender may supply one. RFC 9132, Section 4.4.1.2: the one of any other
// peer is ignored, and on the side of the clients' domain everybody's.
func (c *call) cdid() string {
	if c.req.CDID == "" || c.peer.from.ClientDomain || !c.srv.cfg.TrustedGateway(c.entry) {
		return ""
	}
	return c.req.CDID
}

// hops returns what the request may be forwarded with; ok is false, and it is answered, when it must not be.
func (c *call) hops() (left uint8, ok bool) {
	left = forwardedHopLimit(c.req.HopLimit, c.srv.cfg.InitialHopLimit)
	if left == 0 {
		// RFC 8768, Section 4: 5.08 with the identifier of who found the loop.
		c.refuse(dots.Refuse(dots.CodeLoop, c.srv.cfg.NodeID))
	}
	return left, left > 0
}

// putMitigation hands a mitigation request, its refresh or an efficacy update to the core.
func (c *call) putMitigation() {
	left, ok := c.hops()
	if !ok {
		return
	}
	ask := dots.Ask{
		Client: c.client(), Request: c.req.Mitigation, HopLimit: left, OwnCUID: c.peer.cuid,
		Efficacy: c.req.Efficacy, Update: c.req.CUID == "", // the dialect without cuids lets a known mitigation change
	}
	if c.peer.armed() {
		ask.Request.OnSignalLoss = true
	}
	c.srv.cfg.Core.Mitigate(ask, func(answer dots.Answer, err error) {
		defer c.done()
		switch {
		case err != nil:
			c.refuse(err)
		case answer.Code == dots.CodeSilent:
			// RFC 9132, Section 4.4.3: an efficacy update of an unknown mid is ignored.
			c.silence()
		default:
			c.grant(answer)
		}
	})
}

// grant answers a PUT that was accepted. What answered the same request the last time is nearly always what answers it now.
func (c *call) grant(answer dots.Answer) {
	m := c.known.answered(&answer)
	if m == nil {
		m = c.written(&answer)
	}
	c.ex.Respond(m)
	c.answered(m, "")
}

// written writes what answers a PUT that was accepted, and keeps it.
func (c *call) written(answer *dots.Answer) *coap.Message {
	// RFC 9132, Section 4.4.1.3: 2.01 or 2.04 with the mid and the granted lifetime.
	m := c.encode(wire.Response{
		Code: answer.Code, Conflict: answer.Conflict,
		Granted: dots.Some(wire.Granted{MID: answer.MID, Lifetime: answer.Lifetime}),
	})
	if dots.Code(m.Code) == answer.Code { // it could be said
		c.known.note(answer, m)
	}
	return m
}

// deleteMitigation withdraws. It is forwarded like a PUT, so a loop is found here as well.
func (c *call) deleteMitigation() {
	if _, ok := c.hops(); !ok {
		return
	}
	c.srv.cfg.Core.Withdraw(dots.MitigationKey{Client: c.client(), MID: c.req.MID.Value}, func(err error) {
		if err != nil {
			c.refuse(err)
			return
		}
		// RFC 9132, Section 4.4.4: 2.02 without a body, known or not.
		c.respond(wire.Response{Code: dots.CodeDeleted})
	})
}

// getMitigations tells the state of one or all of the client's mitigations, from what is known here: a GET is not
// forwarded, so its Hop-Limit ends with it.
func (c *call) getMitigations() {
	client := c.client()
	var w *watcher
	if c.req.Observe == dots.Some[uint32](0) {
		w = c.watch(resource{client: client, mid: c.req.MID}, func(w *watcher) {
			c.srv.cfg.Core.Reports(client, c.req.MID, func(reports []dots.Report, err error) {
				c.notify(w, reported(reports), anyActive(reports), err)
			})
		})
	}
	c.srv.cfg.Core.Reports(client, c.req.MID, func(reports []dots.Report, err error) {
		c.answerWatched(w, reported(reports), anyActive(reports), err)
	})
}

func reported(reports []dots.Report) wire.Response {
	return wire.Response{Code: dots.CodeContent, Reports: reports}
}

// anyActive reports whether one of the mitigations is active, so that its observers are told periodically.
func anyActive(reports []dots.Report) bool {
	for _, r := range reports {
		if r.Status.Active() {
			return true
		}
	}
	return false
}

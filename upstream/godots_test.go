package upstream

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// A DOTS server built on go-dots repeats the request's Uri-Path in its responses, leaves the Observe option out of the
// answer to a registration, and lists nulls and empty arrays for what is absent, in no order of keys.

// goDotsList is how it says that mid 1 has the given status: a map with null alias-names and with keys out of order.
func goDotsList(status byte) []byte {
	return []byte{
		0xa1, 0x01, 0xa1, 0x02, 0x81, 0xa7,
		0x10, status, // status
		0x05, 0x01, // mid
		0x0e, 0x19, 0x0e, 0x10, // lifetime
		0x0b, 0x81, 0x6f, 'w', 'w', 'w', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'n', 'e', 't', // target-fqdn
		0x06, 0x80, // target-prefix: empty
		0x0d, 0xf6, // alias-name: null
		0x0f, 0x1a, 0x5b, 0, 0, 0, // mitigation-start
	}
}

// goDots answers as that server does, whatever else is set.
func goDots(ex *coap.Exchange, code coap.Code, body []byte) {
	m := &coap.Message{Code: code, Payload: body, NonConfirmable: true}
	m.Options.SetPath(ex.Request().Options.Path()...)
	if len(body) > 0 {
		m.Options.AddUint(coap.ContentFormat, 271)
	}
	ex.Respond(m)
}

func TestAServerBuiltOnGoDots(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			switch r.Op {
			case wire.PutMitigation:
				goDots(ex, coap.Created, []byte{0xa1, 0x01, 0xa1, 0x02, 0x81, 0xa2, 0x05, 0x01, 0x0e, 0x19, 0x0e, 0x10})
			case wire.GetMitigations:
				goDots(ex, coap.Content, goDotsList(2))
			case wire.PutHeartbeat:
				goDots(ex, coap.Changed, nil)
			default:
				return false
			}
			return true
		}
		w.run()
		w.want(putLeg(1, 1))
		w.sleep(time.Minute)
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=2", "1m0s a/cuid all 1=2")
	})
}

// Its notifications come all the same, and count from 1. From the first one on nothing is polled while they come.
func TestNotificationsOfAServerBuiltOnGoDots(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			if r.Op == wire.GetMitigations {
				goDots(ex, coap.Content, goDotsList(1))
			}
			return r.Op == wire.GetMitigations
		}
		w.run()
		w.want(putLeg(1, 1))
		w.takeAsked("PUT 1", "OBSERVE0 cuid")
		w.sleep(90 * time.Second)
		w.takeAsked("LIST cuid")
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1", "1m0s a/cuid all 1=1")
		observed := w.registered
		for i := range 10 {
			w.goDotsNotifies(observed, byte(i+1), 2)
			w.events.take(t, fmt.Sprintf("%v a/cuid all 1=2", 90*time.Second+time.Duration(i)*time.Minute))
			w.sleep(time.Minute)
		}
		w.takeAsked()
	})
}

// goDotsNotifies sends a notification as that server does, over UDP: with the request's Uri-Path.
func (w *world) goDotsNotifies(token []byte, count, status byte) {
	b := append([]byte{0x50 | byte(len(token)), byte(coap.Content), 0x77, count}, token...)
	b = append(b, 0x61, count)              // Observe
	b = append(b, 0x54, 'd', 'o', 't', 's') // Uri-Path
	b = append(b, 0x12, 0x01, 0x0f)         // Content-Format 271
	w.down <- append(append(b, 0xff), goDotsList(status)...)
	synctest.Wait()
}

// After a block-wise GET it answers PUT and DELETE on the same path with 2.05, and does not execute them, for up to
// 247 s. That is no success: it is asked until it does what it is told.
func TestAServerThatAnswersDeleteWithContent(t *testing.T) {
	virtual(t, nil, func(w *world) {
		var stuck atomic.Bool
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			if stuck.Load() && r.Op == wire.DeleteMitigation {
				goDots(ex, coap.Content, goDotsList(2))
				return true
			}
			return false
		}
		w.run()
		w.want(putLeg(1, 1))
		w.events.take(t, "0s up a", "0s PUT 1 r1: 2.01 for 3600", "0s a/cuid all 1=1")
		stuck.Store(true)
		w.want(goneLeg(1, 2))
		w.sleep(50 * time.Second)
		stuck.Store(false)
		w.sleep(45 * time.Second)
		synctest.Wait()
		w.takeAsked("PUT 1", "OBSERVE0 cuid", "DELETE 1", "DELETE 1", "DELETE 1", "DELETE 1", "DELETE 1",
			"LIST cuid", "DELETE 1", "GET 1")
		w.events.take(t, "1m0s a/cuid all 1=1", "1m33s DELETE 1 r2: 2.02", "1m33s a/cuid 1=5")
	})
}

// Its refusals are texts with Content-Format 0, or maps with a conflict.
func TestRefusalsOfAServerBuiltOnGoDots(t *testing.T) {
	virtual(t, nil, func(w *world) {
		w.raw = func(r wire.Request, ex *coap.Exchange) bool {
			if r.Op != wire.PutMitigation {
				return false
			}
			m := &coap.Message{Code: coap.BadRequest, Payload: []byte("target-prefix is not yours")}
			m.Options.AddUint(coap.ContentFormat, 0)
			if r.MID.Value == 2 {
				goDots(ex, coap.Conflict, []byte{0xa1, 0x01, 0xa1, 0x02, 0x81, 0xa1, 0x11, 0xa1, 0x13, 0x03})
				return true
			}
			m.Options.SetPath(ex.Request().Options.Path()...)
			ex.Respond(m)
			return true
		}
		w.run()
		var conflict dots.Conflict
		w.events.answered = func(a dots.LegAnswer) { conflict = a.Conflict.Or(conflict) }
		w.want(putLeg(1, 1), putLeg(2, 1))
		w.events.take(t, "0s up a", "0s PUT 1 r1: 4.00 target-prefix is not yours", "0s PUT 2 r1: 4.09", "0s a/cuid all")
		if conflict.Cause != dots.CauseCUIDCollision {
			t.Fatalf("conflict %+v", conflict)
		}
	})
}

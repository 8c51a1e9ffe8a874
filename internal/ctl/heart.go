package ctl

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// Heart answers the server's heartbeats on a session. It is the session's handler. Safe for concurrent use.
type Heart struct {
	profile wire.Profile

	mu    sync.Mutex
	heard time.Time // when a heartbeat of the server's last came
	count int
}

// NewHeart makes the handler of a session that speaks profile.
func NewHeart(profile wire.Profile) *Heart { return &Heart{profile: profile, heard: time.Now()} }

// Heard returns how many heartbeats of the server's came.
func (h *Heart) Heard() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// ServeCoAP answers a request of the server's. RFC 9132, Section 4.7: a heartbeat is answered 2.04; nothing else is served.
func (h *Heart) ServeCoAP(ex *coap.Exchange) {
	req, err := h.profile.DecodeRequest(carry.Request(ex.Request()))
	if err == nil && req.Op != wire.PutHeartbeat {
		err = dots.Refuse(dots.CodeNotFound, "a client serves heartbeats only")
	}
	if err != nil {
		refusal := dots.AsError(err)
		ex.Respond(&coap.Message{Code: coap.Code(refusal.Code), Payload: wire.Diagnostic(refusal.Code, refusal.Text)})
		return
	}
	h.mu.Lock()
	h.heard = time.Now()
	h.count++
	h.mu.Unlock()
	ex.Respond(&coap.Message{Code: coap.Changed})
}

// status is our peer-hb-status. RFC 9132, Section 4.7: whether heartbeats came within the last 2 * heartbeat-interval.
func (h *Heart) status(interval time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.heard) <= 2*interval
}

// The heartbeats' defaults (RFC 9132, Section 4.5.2).
const (
	defaultInterval = 30 * time.Second
	missingAllowed  = 15
)

// Beat sends heartbeats each interval until ctx ends, which is no error, or the session is lost: when it ended, or nothing
// at all was heard for as long as missing-hb-allowed heartbeats take.
func (h *Heart) Beat(ctx context.Context, c *Client, interval time.Duration) error {
	if interval <= 0 {
		interval = defaultInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.Session().Done():
			return fmt.Errorf("%w: %w", ErrNoSession, c.Session().Err())
		case <-ticker.C:
		}
		if err := h.beat(ctx, c, interval); err != nil {
			return err
		}
	}
}

// beat sends one heartbeat. One that is not answered is no matter as long as anything is heard at all.
func (h *Heart) beat(ctx context.Context, c *Client, interval time.Duration) error {
	once := c.Session().Parameters().RepeatInterval * 9 / 10 // before it would be sent again
	waiting, cancel := context.WithTimeout(ctx, min(interval, once))
	defer cancel()
	err := c.Heartbeat(waiting, h.status(interval))
	// RFC 9132, Section 4.7: missing-hb-allowed consecutive heartbeats without an answer end the session.
	if silence := time.Since(c.Session().LastHeard()); err != nil && ctx.Err() == nil && silence > missingAllowed*interval {
		return fmt.Errorf("%w: silent for %v", ErrNoSession, silence.Round(time.Second))
	}
	return nil
}

package upstream

import (
	"context"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

type pulse struct{}

func newPulse(l *link, conn *coap.Session) *pulse { return &pulse{} }

func (p *pulse) peer(now time.Time, receiving bool) {}

func (s *session) beat(ctx context.Context) (time.Duration, error) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return until(s.link.cfg.Now(), s.link.plan.deadline()), nil
}

package app

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// frontedAs is a listener whose front stands so.
type frontedAs struct {
	status coap.FrontStatus
	has    bool
}

func (f frontedAs) FrontStatus() (coap.FrontStatus, bool) { return f.status, f.has }
func (frontedAs) Addr() net.Addr                          { return &net.UDPAddr{Port: 4646} }

// TestUnsteeredIsTold: an operator hears of a system that does not keep hellos apart, and of nothing when it does.
func TestUnsteeredIsTold(t *testing.T) {
	refused := coap.FrontStatus{Unsteered: errors.New("operation not permitted")}
	tests := map[string]struct {
		listener frontedAs
		want     string
	}{
		"steered":     {frontedAs{has: true}, ""},
		"not steered": {frontedAs{refused, true}, `msg="new hellos share a queue with established traffic" address=:4646 error="operation not permitted"`},
		"over TCP":    {frontedAs{refused, false}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			(&App{log: slog.New(slog.NewTextHandler(&lines, nil))}).tellSteering(tt.listener)
			if got := lines.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("the log says %q, want %q", got, tt.want)
			}
		})
	}
}

package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/internal/metrics"
	"github.com/dotsgate/dotsgate/internal/pressure"
)

func TestPressureIsTold(t *testing.T) {
	var lines bytes.Buffer
	a := &App{log: slog.New(slog.NewTextHandler(&lines, nil))}
	a.pressureChanged(pressure.Calm, pressure.ShedReads, pressure.Reading{Queue: 0.85})
	a.pressureChanged(pressure.ShedReads, pressure.ShedHandshakes, pressure.Reading{})
	for _, want := range []string{
		`level=WARN msg="the gateway is loaded and sheds more" sheds=reads before=calm queue=0.85`,
		`level=INFO msg="the gateway is less loaded and sheds less" sheds=handshakes before=reads queue=0`,
	} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("no %s in\n%s", want, &lines)
		}
	}
}

func TestPressureOf(t *testing.T) {
	var s pressure.Stats
	s.Level = pressure.ShedReads
	s.Shed[pressure.ShedStrangers], s.Shed[pressure.ShedHandshakes] = 1, 2
	s.Shed[pressure.ShedReads], s.Shed[pressure.ShedRequests] = 3, 4
	if got, want := pressureOf(s), (metrics.Pressure{Level: 3, Strangers: 1, Handshakes: 2, Reads: 3, Orders: 4}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

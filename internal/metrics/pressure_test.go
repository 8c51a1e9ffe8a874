package metrics

import (
	"net/http"
	"strings"
	"testing"
)

func TestPressure(t *testing.T) {
	m := New(Config{Pressure: func() Pressure {
		return Pressure{Level: 3, Strangers: 1, Handshakes: 2, Reads: 3, Orders: 4}
	}})
	_, body := get(t, Handler(m, nil), http.MethodGet, "/metrics")
	for _, line := range []string{
		"dotsgate_pressure_level 3",
		`dotsgate_shed_total{kind="strangers"} 1`, `dotsgate_shed_total{kind="handshakes"} 2`,
		`dotsgate_shed_total{kind="reads"} 3`, `dotsgate_shed_total{kind="requests"} 4`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if _, body := get(t, Handler(New(Config{}), nil), http.MethodGet, "/metrics"); strings.Contains(body, "dotsgate_pressure_level") {
		t.Error("a level is told where nobody measures it")
	}
}

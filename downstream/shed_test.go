package downstream

import (
	"testing"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// Under pressure GETs are refused, with the time to come back (RFC 9132, Section 4.4.1.3), and nothing else is.
func TestShed(t *testing.T) {
	tests := []struct {
		name    string
		request *coap.Message
		shed    bool
	}{
		{"GET of a mitigation", request(getCode, pathMID1, ""), true},
		{"GET of all", request(getCode, pathAll, ""), true},
		{"GET of the configuration", request(getCode, pathConfig, ""), true},
		{"request or refresh", request(putCode, pathMID1, bodyPut), false},
		{"withdrawal", request(deleteCode, pathMID1, ""), false},
		{"heartbeat", request(putCode, pathHB, bodyHBTrue), false},
		{"back to the defaults", request(deleteCode, pathConfig, ""), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			inRig(t, func(c *Config) { c.Shed = func() bool { asked++; return true } }, func(r *rig) {
				c := r.connect("a.example")
				asked = 0
				resp := c.do(tt.request)
				if resp == nil {
					t.Fatal("no answer")
				}
				age, _ := resp.Options.Uint(coap.MaxAge)
				if refused := resp.Code == coap.ServiceUnavailable; refused != tt.shed || refused && age != 5 {
					t.Errorf("answered %v with Max-Age %d", resp.Code, age)
				}
				if (asked == 1) != tt.shed {
					t.Errorf("asked %d times whether to shed: each refusal is counted, and nothing else", asked)
				}
			})
		})
	}
}

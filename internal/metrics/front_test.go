package metrics

import (
	"net/http"
	"strings"
	"testing"
)

func TestFront(t *testing.T) {
	m := New(Config{Front: func() Front {
		return Front{
			Gated: true, Hellos: 1, Challenged: 2, Proven: 3, Strangers: 4, Refused: 5, Shed: 6, Replaced: 7, Overfed: 8, HandOver: 9, Moves: 10,
			Doors: [transports]Door{
				DTLS: {Handshakes: 21, Starts: Table{22, 23, 24}, Holders: Table{25, 26, 27}}, TLS: {Handshakes: 28, Holders: Table{Lost: 29}},
			},
			Withheld: 11, TakenOver: 12, Malformed: 13, Plain: 14, Replayed: 15, Forged: 16, Received: 17, Sent: 18, LostIn: 19, LostOut: 20, Resumed: 30,
		}
	}})
	_, body := get(t, Handler(m, nil), http.MethodGet, "/metrics")
	for _, line := range []string{
		"dotsgate_front_gated 1",
		`dotsgate_front_hellos_total{result="any"} 1`, `dotsgate_front_hellos_total{result="challenged"} 2`,
		`dotsgate_front_hellos_total{result="proven"} 3`, `dotsgate_front_hellos_total{result="refused"} 5`,
		`dotsgate_front_hellos_total{result="shed"} 6`, `dotsgate_front_handshake_troubles_total{trouble="replaced"} 7`,
		`dotsgate_front_handshake_troubles_total{trouble="overfed"} 8`, `dotsgate_front_handshake_troubles_total{trouble="hand_over"} 9`,
		`dotsgate_front_dropped_total{reason="stranger"} 4`, `dotsgate_front_dropped_total{reason="withheld"} 11`,
		`dotsgate_front_dropped_total{reason="malformed"} 13`, `dotsgate_front_dropped_total{reason="plain"} 14`,
		`dotsgate_front_dropped_total{reason="replayed"} 15`, `dotsgate_front_dropped_total{reason="forged"} 16`,
		`dotsgate_front_sessions_total{event="moved"} 10`, `dotsgate_front_sessions_total{event="taken_over"} 12`, `dotsgate_front_sessions_total{event="resumed"} 30`,
		`dotsgate_udp_datagrams_total{direction="in"} 17`, `dotsgate_udp_datagrams_total{direction="out"} 18`,
		`dotsgate_door_handshakes{transport="dtls"} 21`, `dotsgate_door_handshakes{transport="tls"} 28`,
		`dotsgate_door_sources{table="starts",transport="dtls"} 22`, `dotsgate_door_sources_room{table="starts",transport="dtls"} 23`,
		`dotsgate_door_sources_lost_total{table="starts",transport="dtls"} 24`, `dotsgate_door_sources{table="holders",transport="dtls"} 25`,
		`dotsgate_door_sources_room{table="holders",transport="dtls"} 26`, `dotsgate_door_sources_lost_total{table="holders",transport="dtls"} 27`,
		`dotsgate_door_sources_lost_total{table="holders",transport="tls"} 29`, `dotsgate_door_sources{table="starts",transport="tls"} 0`,
		`dotsgate_udp_lost_total{direction="in"} 19`, `dotsgate_udp_lost_total{direction="out"} 20`,
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if _, body := get(t, Handler(New(Config{}), nil), http.MethodGet, "/metrics"); strings.Contains(body, "dotsgate_front") {
		t.Error("a front is told of where there is none")
	}
}

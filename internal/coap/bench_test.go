package coap

import (
	"net"
	"testing"
)

// nowhere is a link that forgets.
type nowhere struct{ reliable bool }

func (nowhere) WriteRecord([]byte) error { return nil }
func (nowhere) Close() error             { return nil }
func (nowhere) LocalAddr() net.Addr      { return nil }
func (nowhere) RemoteAddr() net.Addr     { return nil }
func (n nowhere) Reliable() bool         { return n.reliable }

// BenchmarkRequest is the cost of a request of the usual size, answered at once.
func BenchmarkRequest(b *testing.B) {
	options := []Option{
		opt(UriPath, ".well-known"), opt(UriPath, "dots"), opt(UriPath, "mitigate"),
		opt(UriPath, "cuid=dz6pHjaADkaFTbjr0JGBpw"), opt(UriPath, "mid=123"), num(ContentFormat, 271),
	}
	for name, reliable := range map[string]bool{"udp": false, "tcp": true} {
		b.Run(name, func(b *testing.B) {
			response := &Message{Code: Changed, Options: Options{num(ContentFormat, 271)}, Payload: pattern(30)}
			s, err := NewSession(SessionConfig{
				Link: nowhere{reliable}, Timers: NewTimers(), Handler: HandlerFunc(func(ex *Exchange) { ex.Respond(response) }),
			})
			if err != nil {
				b.Fatal(err)
			}
			s.Start()
			in := udp(con, PUT, 0, "1234", string(pattern(150)), options...)
			if reliable {
				s.Input(tcp(codeCSM, "", ""))
				in = tcp(PUT, "1234", string(pattern(150)), options...)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if !reliable {
					in[2], in[3] = byte(i>>8), byte(i)
					in[4], in[5] = byte(i>>24), byte(i>>16)
				}
				s.Input(in)
			}
			if s.counters.Duplicates.Load() != 0 || s.Err() != nil {
				b.Fatal("not what was to be measured")
			}
		})
	}
}

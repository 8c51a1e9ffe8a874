package udp

import (
	"fmt"
	"testing"
)

// record is the beginning of a DTLS record with a handshake message of a type.
func record(content byte, epoch uint16, message byte) []byte {
	b := make([]byte, 60)
	b[0], b[1], b[2] = content, 254, 253
	b[3], b[4] = byte(epoch>>8), byte(epoch)
	b[13] = message
	return b
}

// TestSteering sends what strangers and peers send, and sees by which queue it comes.
func TestSteering(t *testing.T) {
	tests := []struct {
		name  string
		b     []byte
		hello bool
	}{
		{"client hello", record(22, 0, 1), true},
		{"client key exchange", record(22, 0, 16), false},
		{"certificate", record(22, 0, 11), false},
		{"hello of a later epoch", record(22, 1, 1), false},
		{"hello of epoch 256", record(22, 256, 1), false},
		{"change cipher spec", record(20, 0, 1), false},
		{"alert", record(21, 1, 1), false},
		{"data", record(23, 1, 1), false},
		{"data with a connection ID", record(25, 1, 1), false},
		{"no content type", record(26, 0, 1), true},
		{"plain CoAP", record(0x40, 0, 1), true},
		{"a lower content type", record(19, 1, 0), true},
		{"one byte of data", []byte{23}, false},
		{"a hello cut before its type", record(22, 0, 1)[:13], true},
		{"a handshake cut before its epoch", record(22, 1, 1)[:4], true},
		{"nothing", nil, true},
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		for _, queues := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s,%d", address, queues), func(t *testing.T) {
				if address == "[::1]:0" && len(here(t, "::1")) == 0 {
					t.Skip("no such address here")
				}
				got := newArrivals()
				s := listen(t, Config{Address: address, Queues: queues}, got.handle)
				if !s.Steered() {
					t.Skip("no steering here")
				}
				if n := len(s.Queues()); n != queues+1 {
					t.Fatalf("%d queues, wanted %d", n, queues+1)
				}
				c := peer(t, "", s.Addr())
				for _, tt := range tests {
					send(t, c, tt.b)
					if a := got.next(t); (a.queue == 0) != tt.hello || a.text != string(tt.b) {
						t.Errorf("%s: %d bytes came by queue %d; to the hellos: %v", tt.name, len(a.text), a.queue, tt.hello)
					}
				}
			})
		}
	}
}

// TestFlowKeepsItsQueue sends from many peers and looks whether each keeps a queue, and all queues have some.
func TestFlowKeepsItsQueue(t *testing.T) {
	const peers, times, queues = 200, 3, 4
	for _, to := range here(t, "127.0.0.1", "::1") {
		t.Run(to, func(t *testing.T) {
			got := newArrivals()
			s := listen(t, Config{Address: ":0", Queues: queues}, got.handle)
			if !s.Steered() {
				t.Skip("no steering here")
			}
			used := map[int]int{}
			for range peers {
				c := peer(t, "", at(to, s.Addr()))
				first := -1
				for range times {
					send(t, c, record(23, 1, 0))
					a := got.next(t)
					if first >= 0 && a.queue != first {
						t.Fatalf("%v came by queue %d, then %d", a.from, first, a.queue)
					}
					first = a.queue
				}
				used[first]++
				_ = c.Close() // its port may be used again
			}
			for q := 1; q <= queues; q++ { // 50 wanted; fewer than 10 of 200 at 1 in 4 does not happen by chance
				if used[q] < 10 {
					t.Errorf("queues had flows: %v", used)
					break
				}
			}
		})
	}
}

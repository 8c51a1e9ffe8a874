package front

import (
	"testing"

	"github.com/dotsgate/dotsgate/internal/udp"
)

// BenchmarkStranger is what each datagram of a flood costs.
func BenchmarkStranger(b *testing.B) {
	for name, datagram := range map[string][]byte{
		"hello":  clientHello(0, 0, [randomSize]byte{1}, nil),
		"forged": clientHello(1, 1, [randomSize]byte{1}, make([]byte, cookieSize)),
		"data":   protected(23, make([]byte, 100)...),
		"junk":   make([]byte, 100),
	} {
		b.Run(name, func(b *testing.B) {
			f := newFront(Config{Network: newMemNet()})
			var via discard
			b.ReportAllocs()
			for i := range b.N {
				f.route(via, datagram, udpPath(uint16(i)))
			}
		})
	}
}

// BenchmarkFind is what it costs to find whose a datagram is, among 10,000.
func BenchmarkFind(b *testing.B) {
	t := newTable()
	c := &Conn{}
	for i := range uint16(10000) {
		c.origin = udpPath(i)
		t.settle(c, false)
	}
	var p udp.Path
	for i := range b.N {
		p = udpPath(uint16(i % 10000))
		if t.at(p).established == nil {
			b.Fatal("it is lost")
		}
	}
}

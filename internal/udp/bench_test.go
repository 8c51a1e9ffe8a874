package udp

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkEcho is the yardstick of what is built on this package: an echo of datagrams as long as a refresh, in batches,
// beside an echo of one datagram a call. 16 sockets keep 32 in flight each; the load's share of the time is the same in
// both.
func BenchmarkEcho(b *testing.B) {
	b.Run("batches", func(b *testing.B) {
		s := listen(b, Config{Address: "127.0.0.1:0"}, echo)
		load(b, s.Addr())
	})
	b.Run("batches,one queue", func(b *testing.B) {
		s := listen(b, Config{Address: "127.0.0.1:0", Plain: true}, echo)
		load(b, s.Addr())
	})
	b.Run("batches,all addresses", func(b *testing.B) {
		s := listen(b, Config{Address: "0.0.0.0:0"}, echo)
		load(b, at("127.0.0.1", s.Addr()))
	})
	b.Run("one datagram a call", func(b *testing.B) {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for buf := make([]byte, MaxDatagram); ; {
				n, from, err := c.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				_, _ = c.WriteToUDPAddrPort(buf[:n], from) // a loss is made up for by the load
			}
		}()
		defer func() {
			_ = c.Close()
			<-done
		}()
		load(b, c.LocalAddr())
	})
}

// load keeps datagrams in flight by many sockets until b.N have come back. It works in batches, too.
func load(b *testing.B, to net.Addr) {
	const sockets, inFlight = 16, 32
	b.Helper()
	target := netip.MustParseAddrPort(to.String())
	var all sync.WaitGroup
	begin := usage(b)
	b.ResetTimer()
	for range sockets {
		all.Go(func() { drive(b, target, b.N/sockets+1, inFlight) })
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "echoes/s")
	b.ReportMetric(float64((usage(b)-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// drive keeps some datagrams in flight by one socket until n came back. What was lost is sent again.
func drive(b *testing.B, to netip.AddrPort, n, inFlight int) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	in, out := newInbound(c, false), newOutbound(c, true, false)
	payload := make([]byte, 190)
	payload[0] = 23
	var more bundle
	for back, flying := 0, 0; back < n; {
		more.empty()
		for ; flying < inFlight && back+flying < n; flying++ {
			more.put(payload, Path{Peer: to})
		}
		out.write(&more)
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // the read tells
		k, err := in.read()
		if err != nil {
			flying = 0
			continue
		}
		back, flying = back+k, max(flying-k, 0)
	}
}

// usage is the processor time of the whole process.
func usage(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

package resilience

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// flood is datagrams from addresses that nobody has. Only addresses of 127.0.0.0/8 can be made up without a privilege, and
// nothing leaves the machine.
type flood struct {
	to       netip.AddrPort
	datagram []byte
	count    int // at most
	rate     int // a second; 0: as fast as they go
	sources  int // different ones
}

// floodNetwork is the first of the networks that floods come from; clients are below it.
const floodNetwork = 128

// Where a hello's random value stands: behind the record's header, the handshake's and the version.
const (
	helloRandom = 13 + 12 + 2
	sourceAt    = 4 // in a packet info of IPv4: the source, behind the interface's number
)

// run sends until all is sent or stop is closed, and returns how many it was and how long it took. What comes back is not
// read.
func (f flood) run(t *testing.T, stop <-chan struct{}) (sent int, took time.Duration) {
	t.Helper()
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	_ = socket.SetReadBuffer(4096) // it fills at once, and the system drops the rest
	const batch = 64
	conn, ms := ipv4.NewPacketConn(socket), make([]ipv4.Message, batch)
	for i := range ms {
		ms[i].Buffers = [][]byte{append([]byte(nil), f.datagram...)}
		ms[i].OOB = unix.PktInfo4(&unix.Inet4Pktinfo{})
		ms[i].Addr = net.UDPAddrFromAddrPort(f.to)
	}
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now()
	for sent < f.count {
		select {
		case <-stop:
			return sent, time.Since(begin)
		default:
		}
		n := min(batch, f.count-sent)
		for i := range n {
			source := at(floodNetwork, random.IntN(f.sources)).As4()
			copy(ms[i].OOB[unix.CmsgLen(0)+sourceAt:], source[:])
			if len(f.datagram) >= helloRandom+8 {
				binary.NativeEndian.PutUint64(ms[i].Buffers[0][helloRandom:], random.Uint64())
			}
		}
		k, err := conn.WriteBatch(ms[:n], 0)
		if err != nil {
			t.Errorf("flooding: %v", err)
			return sent, time.Since(begin)
		}
		sent += k
		if f.rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(sent) * time.Second / time.Duration(f.rate))))
		}
	}
	return sent, time.Since(begin)
}

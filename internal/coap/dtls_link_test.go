package coap

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dotsgate/dotsgate/internal/front"
)

// bothPaths runs a test in a bubble for each way that records of a listener's sessions may go.
func bothPaths(t *testing.T, f func(t *testing.T, p *dtlsPair)) {
	for name, path := range map[string]front.RecordPath{"own": front.Own, "pion": front.Pion} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newDTLSPair(t, path)
				defer p.close()
				f(t, p)
			})
		})
	}
}

func TestDTLSTransfer(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "client")
		ping(t, p.server, p.client, "server")
		if p.client.Reliable() || p.server.Reliable() {
			t.Error("Reliable() over UDP")
		}
		if got := p.server.RemoteAddr().String(); got != p.clientSocket.LocalAddr().String() {
			t.Errorf("the client is at %s", got)
		}
	})
}

// RFC 6347, Section 4.1.2.7: invalid records are dropped and the association lives on.
func TestDTLSForgedDatagrams(t *testing.T) {
	record := func(kind byte, epoch byte, body ...byte) []byte {
		return append([]byte{kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0x70, 0, 0, byte(len(body))}, body...)
	}
	forged := map[string][]byte{
		"empty":                        {},
		"one byte":                     {23},
		"plain application data":       record(23, 0, 'x'),
		"plain fatal alert":            record(21, 0, 2, 40),
		"plain close_notify":           record(21, 0, 1, 0),
		"plain ChangeCipherSpec":       record(20, 0, 1),
		"plain ClientHello":            record(22, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
		"plain Finished":               record(22, 0, 20, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0),
		"unknown type":                 record(99, 0, 1),
		"protected junk":               record(23, 1, make([]byte, 40)...),
		"protected alert junk":         record(21, 1, make([]byte, 40)...),
		"future epoch":                 record(23, 9, make([]byte, 40)...),
		"CID junk":                     append(record(25, 1), make([]byte, 60)...),
		"junk before application data": append(record(23, 1, make([]byte, 30)...), record(23, 0, 'x')...),
		"length beyond the datagram":   {23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1},
	}
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		clientAddr, serverAddr := p.clientSocket.addr, p.serverSocket.addr
		for name, b := range forged {
			p.serverSocket.inject(b, clientAddr)
			p.clientSocket.inject(b, serverAddr)
			synctest.Wait()
			ping(t, p.client, p.server, "client, after "+name)
			ping(t, p.server, p.client, "server, after "+name)
		}
	})
}

func TestDTLSStrangersDatagramsDropped(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		// A datagram that the client would take if its source did not matter.
		stolen := make(chan []byte, 1)
		thief := p.clientSocket.net.socket(2) // takes over the client's place in the network
		go func() {
			g := <-thief.in
			stolen <- g.data
		}()
		_ = p.server.link.WriteRecord([]byte{0x40, 0, 0, 1})
		datagram := <-stolen
		heard := func(from int) uint64 {
			before := p.counters.RecordsIn.Load()
			p.clientSocket.inject(datagram, memAddr(from))
			synctest.Wait()
			return p.counters.RecordsIn.Load() - before
		}
		if n := heard(66); n != 0 {
			t.Error("a stranger's datagram was taken")
		}
		if n := heard(1); n != 1 {
			t.Error("the server's datagram was not taken")
		}
		// RFC 9132, Section 7.1: replays are detected.
		if n := heard(1); n != 0 {
			t.Error("the server's datagram was taken twice")
		}
	})
}

// RFC 9146, Section 6: a peer with a connection ID may change its address.
func TestDTLSClientMoves(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "before")
		ping(t, p.client, p.server, "before") // the first takes the session over
		p.clientSocket.move(3)
		// The library hands a datagram on before it takes note of the address, so an answer to the first may go to the old one.
		if err := p.client.link.WriteRecord([]byte{0x60, 0, 0, 1}); err != nil { // an ACK of nothing
			t.Fatal(err)
		}
		synctest.Wait()
		ping(t, p.client, p.server, "after")
		ping(t, p.server, p.client, "answer")
		if got := p.server.RemoteAddr().(*net.UDPAddr).Port; got != 3 {
			t.Errorf("the server answers to port %d", got)
		}
		// The move was answered with a ping, and that has confirmed the address: much may be sent without hearing more.
		synctest.Wait()
		for range 200 {
			if err := p.server.link.WriteRecord(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if moves, cut := p.door.Moves.Load(), p.door.Unconfirmed.Load(); moves != 1 || cut != 0 {
			t.Errorf("%d moves, %d datagrams held back", moves, cut)
		}
	})
}

// RFC 9146, Section 6: a peer that has moved on before it could answer is asked again where it is now.
func TestDTLSClientMovesOn(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "before")
		ping(t, p.client, p.server, "before")
		for port := 3; port <= 4; port++ {
			p.clientSocket.setFail(nil)
			p.clientSocket.move(port)
			for range 2 { // the library looks at addresses late
				if err := p.client.link.WriteRecord([]byte{0x60, 0, 0, 1}); err != nil {
					t.Fatal(err)
				}
				p.clientSocket.setFail(syscall.ENETUNREACH) // what asks is not answered
				synctest.Wait()
				_ = p.server.link.WriteRecord([]byte("follow"))
				p.clientSocket.setFail(nil)
			}
			p.clientSocket.setFail(syscall.ENETUNREACH)
		}
		p.clientSocket.setFail(nil)
		time.Sleep(time.Minute)
		for range 200 {
			if err := p.server.link.WriteRecord(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if moves, cut := p.door.Moves.Load(), p.door.Unconfirmed.Load(); moves != 2 || cut != 0 {
			t.Errorf("%d moves, %d datagrams held back", moves, cut)
		}
	})
}

// RFC 9146, Section 6: where nobody answers, little is sent.
func TestDTLSClientMovesAndIsSilent(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "before")
		ping(t, p.client, p.server, "before")
		p.clientSocket.move(3)
		p.clientSocket.net.socket(3) // somebody else has the address
		_ = p.client.link.WriteRecord(make([]byte, 100))
		synctest.Wait()
		for range 200 {
			if err := p.server.link.WriteRecord(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		if moves, cut := p.door.Moves.Load(), p.door.Unconfirmed.Load(); moves != 1 || cut < 200 {
			t.Errorf("%d moves, %d datagrams held back", moves, cut)
		}
	})
}

func TestDTLSWriteErrorIsLoss(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "before")
		before := p.counters.WriteErrors.Load()
		p.clientSocket.setFail(syscall.ENETUNREACH)
		p.serverSocket.setFail(syscall.ENOBUFS)
		for _, s := range []*Session{p.client, p.server} {
			if err := s.link.WriteRecord([]byte("lost")); err != nil {
				t.Errorf("WriteRecord() = %v", err)
			}
		}
		if got := p.counters.WriteErrors.Load() - before; got != 1 {
			t.Errorf("%d write errors counted at the client, want 1", got)
		}
		p.clientSocket.setFail(nil)
		p.serverSocket.setFail(nil)
		ping(t, p.client, p.server, "client")
		ping(t, p.server, p.client, "server")
	})
}

func TestDTLSCloseNotify(t *testing.T) {
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "before")
		if err := p.client.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := p.client.link.Close(); err != nil {
			t.Errorf("second Close() = %v", err)
		}
		<-p.server.Done()
		if err := p.server.Err(); !errors.Is(err, ErrClosedByPeer) {
			t.Errorf("the server's session ended with %v", err)
		}
	})
	bothPaths(t, func(t *testing.T, p *dtlsPair) {
		ping(t, p.client, p.server, "before")
		if err := p.server.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		<-p.client.Done()
		if err := p.client.Err(); !errors.Is(err, ErrClosedByPeer) {
			t.Errorf("the client's session ended with %v", err)
		}
	})
}

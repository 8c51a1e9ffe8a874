package coap

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDTLSTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		carry(t, p.client, p.server, "ping")
		carry(t, p.server, p.client, "pong")
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
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		clientAddr, serverAddr := p.clientSocket.addr, p.serverSocket.addr
		for name, b := range forged {
			p.serverSocket.inject(b, clientAddr)
			p.clientSocket.inject(b, serverAddr)
			synctest.Wait()
			carry(t, p.client, p.server, "after "+name)
			carry(t, p.server, p.client, "after "+name)
		}
	})
}

func TestDTLSStrangersDatagramsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		// A datagram that the client would take if its source did not matter.
		stolen := make(chan []byte, 1)
		thief := p.clientSocket.net.socket(2) // takes over the client's place in the network
		go func() {
			g := <-thief.in
			stolen <- g.data
		}()
		if err := p.server.WriteRecord([]byte("secret")); err != nil {
			t.Fatal(err)
		}
		datagram := <-stolen
		p.clientSocket.inject(datagram, memAddr(66))
		p.client.setReadDeadline(time.Now().Add(time.Second))
		buf := make([]byte, maxDatagram)
		if n, err := p.client.read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v of a stranger", buf[:n], err)
		}
		p.client.setReadDeadline(time.Time{})
		p.clientSocket.inject(datagram, memAddr(1))
		if n, err := p.client.read(buf); err != nil || string(buf[:n]) != "secret" {
			t.Errorf("read %q, %v of the server", buf[:n], err)
		}
		// RFC 9132, Section 7.1: replays are detected.
		p.clientSocket.inject(datagram, memAddr(1))
		p.client.setReadDeadline(time.Now().Add(time.Second))
		if n, err := p.client.read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %q, %v a second time", buf[:n], err)
		}
	})
}

// RFC 9146, Section 6: a peer with a connection ID may change its address.
func TestDTLSClientMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		if p.demux.known() != 0 || p.demux.knownCIDs() != 1 {
			t.Errorf("%d addresses and %d connection IDs, want 0 and 1", p.demux.known(), p.demux.knownCIDs())
		}
		carry(t, p.client, p.server, "before")
		p.clientSocket.move(3)
		carry(t, p.client, p.server, "after")
		synctest.Wait() // the library hands the datagram on before it takes note of the address
		carry(t, p.server, p.client, "answer")
		if got := p.server.RemoteAddr().(*net.UDPAddr).Port; got != 3 {
			t.Errorf("the server answers to port %d", got)
		}
		p.close()
		synctest.Wait()
		if p.demux.known() != 0 || p.demux.knownCIDs() != 0 {
			t.Error("the closed association is still known")
		}
	})
}

func TestDTLSWriteErrorIsLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		p.clientSocket.setFail(syscall.ENETUNREACH)
		p.serverSocket.setFail(syscall.ENOBUFS)
		for _, c := range []securedConn{p.client, p.server} {
			if err := c.WriteRecord([]byte("lost")); err != nil {
				t.Errorf("WriteRecord() = %v", err)
			}
		}
		if got := p.counters.WriteErrors.Load(); got != 2 {
			t.Errorf("%d write errors counted, want 2", got)
		}
		p.clientSocket.setFail(nil)
		p.serverSocket.setFail(nil)
		carry(t, p.client, p.server, "ping")
		carry(t, p.server, p.client, "pong")
	})
}

func TestDTLSCloseNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		if err := p.client.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := p.client.Close(); err != nil {
			t.Errorf("second Close() = %v", err)
		}
		if _, err := p.server.read(make([]byte, maxDatagram)); !errors.Is(err, io.EOF) {
			t.Errorf("the server reads %v, want EOF", err)
		}
		if _, err := p.client.read(make([]byte, maxDatagram)); !errors.Is(err, io.EOF) {
			t.Errorf("the client reads %v, want EOF", err)
		}
	})
}

func TestDTLSReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newDTLSPair(t)
		defer p.close()
		start := time.Now()
		p.server.setReadDeadline(start.Add(3 * time.Second))
		if _, err := p.server.read(make([]byte, maxDatagram)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read = %v", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("the read ended after %v, want 3s", got)
		}
	})
}

package coap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// tapSocket is a client's socket in memory that remembers what was sent, and whether it was closed.
type tapSocket struct {
	*memSocket
	tapped sync.Mutex
	sent   [][]byte
}

func (s *tapSocket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.tapped.Lock()
	s.sent = append(s.sent, bytes.Clone(b))
	s.tapped.Unlock()
	return s.memSocket.WriteTo(b, to)
}

func (s *tapSocket) sentSince(first int) [][]byte {
	s.tapped.Lock()
	defer s.tapped.Unlock()
	return slices.Clone(s.sent[first:])
}

// dialled is a client of ours and a server of the library's after their handshake.
type dialled struct {
	client securedConn
	err    error // of the dial
	socket *tapSocket
	server *dtls.Conn
	inputs chan string
	ended  chan error
}

// dialling says how a client and a server shake hands.
type dialling struct {
	stay   bool // sessions stay with the library
	server []dtls.ServerOption
	first  func(server *dtls.Conn) // what the server does as soon as it can
}

func (d dialling) shake(t *testing.T) *dialled {
	t.Helper()
	ca := testpki.New(t, "root")
	set := credentialsOf(t, ca, ca.Client("a.example")).current.Load()
	var n memNet
	p := &dialled{socket: &tapSocket{memSocket: n.socket(2)}, inputs: make(chan string, 100), ended: make(chan error, 2)}
	serverSocket := n.socket(1)
	server, err := dtls.ServerWithOptions(serverSocket, memAddr(2), append([]dtls.ServerOption{
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret), dtls.WithCertificates(ca.Server().TLS()),
		dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(ca.Pool()),
	}, d.server...)...)
	if err != nil {
		t.Fatal(err)
	}
	p.server = server
	served := make(chan error, 1)
	go func() {
		err := server.HandshakeContext(context.Background())
		if err == nil && d.first != nil {
			d.first(server)
		}
		served <- err
	}()
	own := p.socket.client(new(Counters))
	own.PacketConn = p.socket
	if !d.stay {
		own.records = new(clientRecords)
	}
	p.client, p.err = clientDTLS(t.Context(), set, own, "localhost")
	if err := <-served; err != nil {
		t.Fatalf("server: %v", err)
	}
	return p
}

// link is the client's session, which must be one of ours.
func (p *dialled) link(t *testing.T) *recordLink {
	t.Helper()
	if p.err != nil {
		t.Fatal(p.err)
	}
	l, ok := p.client.(*recordLink)
	if !ok {
		t.Fatalf("the session is a %T", p.client)
	}
	return l
}

func (p *dialled) push(t *testing.T) *recordLink {
	t.Helper()
	l := p.link(t)
	l.serve(func(b []byte) { p.inputs <- string(b) }, func(err error) { p.ended <- err })
	return l
}

// serverReads wants the server to read the text next.
func (p *dialled) serverReads(t *testing.T, text string) {
	t.Helper()
	buf := make([]byte, maxDatagram)
	if n, err := p.server.Read(buf); err != nil || string(buf[:n]) != text {
		t.Fatalf("the server read %q, %v, want %q", buf[:n], err, text)
	}
}

// A client's session is ours at once: the library sends nothing after its Finished, and no nonce comes twice.
func TestDTLSDialTakesOver(t *testing.T) {
	for name, c := range map[string]struct {
		server []dtls.ServerOption
		cid    int
	}{
		"plain":         {},
		"AES 256":       {server: []dtls.ServerOption{dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384)}},
		"connection ID": {server: []dtls.ServerOption{dtls.WithConnectionIDGenerator(dtls.RandomCIDGenerator(6))}, cid: 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := dialling{server: c.server}.shake(t)
				l := p.push(t)
				before := len(p.socket.sentSince(0))
				for i := range 20 {
					text := fmt.Sprint("text ", i)
					if err := l.WriteRecord([]byte(text)); err != nil {
						t.Fatal(err)
					}
					p.serverReads(t, text)
					if _, err := p.server.Write([]byte(text)); err != nil {
						t.Fatal(err)
					}
					if got := <-p.inputs; got != text {
						t.Fatalf("read %q", got)
					}
				}
				synctest.Wait()
				if n := len(p.socket.sentSince(before)); n != 20 {
					t.Errorf("%d datagrams for 20 texts", n)
				}
				if n := noncesOf(t, p.socket.sentSince(0), c.cid); n != 21 {
					t.Errorf("%d nonces, want the Finished and 20 texts", n)
				}
				_ = l.Close()
				<-p.ended
				_ = p.server.Close()
			})
		})
	}
}

// noncesOf counts the explicit nonces of protected records, of which none may be used for two. cid is the length of the
// server's connection IDs.
func noncesOf(t *testing.T, datagrams [][]byte, cid int) int {
	t.Helper()
	seen := make(map[uint64][]byte)
	for _, d := range datagrams {
		for r, rest := record.Next(d, cid); r != nil; r, rest = record.Next(rest, cid) {
			if record.Epoch(r) == 0 {
				continue
			}
			header := 13
			if record.ContentType(r[0]) == record.ConnectionID {
				header += cid
			}
			n := binary.BigEndian.Uint64(r[header:])
			if old := seen[n]; old != nil && !bytes.Equal(old, r) {
				t.Errorf("nonce %x is used for two records", n)
			}
			seen[n] = r
		}
	}
	return len(seen)
}

// What the server sends as soon as it may is not lost, whoever of us reads it.
func TestDTLSDialEarlyData(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			p := dialling{first: func(server *dtls.Conn) {
				for i := range 10 {
					_, _ = server.Write([]byte{byte(i)})
				}
			}}.shake(t)
			l := p.push(t)
			for i := range 10 {
				if got := <-p.inputs; got != string(byte(i)) {
					t.Fatalf("read %q in place of %d", got, i)
				}
			}
			_ = l.Close()
			<-p.ended
			_ = p.server.Close()
		})
	}
}

// A server that says goodbye at once ends the dial, or the session; nothing of it is left.
func TestDTLSDialServerLeaves(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			p := dialling{first: func(server *dtls.Conn) { _ = server.Close() }}.shake(t)
			if p.err == nil {
				p.push(t)
				if err := <-p.ended; !errors.Is(err, io.EOF) {
					t.Errorf("the session ended with %v", err)
				}
			}
			<-p.socket.closed
		})
	}
}

func TestDTLSDialClose(t *testing.T) {
	for name, end := range map[string]func(p *dialled){
		"by us":         func(p *dialled) { _ = p.client.Close(); _ = p.client.Close() },
		"by the server": func(p *dialled) { _ = p.server.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := dialling{}.shake(t)
			l := p.push(t)
			end(p)
			if err := <-p.ended; !errors.Is(err, io.EOF) {
				t.Errorf("%s: the session ended with %v", name, err)
			}
			<-p.socket.closed
			if _, err := p.server.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: the server read %v", name, err)
			}
			if err := l.WriteRecord([]byte("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: WriteRecord() = %v", name, err)
			}
			synctest.Wait()
			if len(p.ended) > 0 {
				t.Errorf("%s: it ended twice", name)
			}
			_ = p.server.Close()
		})
	}
}

// Whoever closes before the session begins is told of its end all the same.
func TestDTLSDialClosedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialling{first: func(server *dtls.Conn) { _, _ = server.Write([]byte("early")) }}.shake(t)
		_ = p.link(t).Close()
		p.push(t)
		if err := <-p.ended; !errors.Is(err, io.EOF) {
			t.Errorf("the session ended with %v", err)
		}
		if len(p.inputs) > 0 {
			t.Error("there was input after the end")
		}
		_ = p.server.Close()
	})
}

// What comes from strangers, in the clear, or twice is not taken.
func TestDTLSDialDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialling{}.shake(t)
		l := p.push(t)
		stolen := p.socket.net.socket(2) // takes over the client's place in the network
		if _, err := p.server.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		datagram := (<-stolen.in).data
		forged := bytes.Clone(datagram)
		forged[len(forged)-1] ^= 1
		p.socket.inject(datagram, memAddr(66))
		p.socket.inject(forged, memAddr(1))
		p.socket.inject([]byte{21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40}, memAddr(1))
		p.socket.inject([]byte{23, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 'x'}, memAddr(1))
		synctest.Wait()
		if len(p.inputs) > 0 {
			t.Errorf("%q was taken", <-p.inputs)
		}
		p.socket.inject(datagram, memAddr(1))
		p.socket.inject(datagram, memAddr(1))
		synctest.Wait()
		if got := <-p.inputs; got != "text" || len(p.inputs) > 0 {
			t.Errorf("%q was taken, and %d more", got, len(p.inputs))
		}
		_ = l.Close()
		<-p.ended
		_ = p.server.Close()
	})
}

// The system's errors are loss, as on the library's path.
func TestDTLSDialWriteErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := dialling{}.shake(t)
		l := p.push(t)
		p.socket.setFail(errors.New("no way"))
		if err := l.WriteRecord([]byte("lost")); err != nil {
			t.Errorf("WriteRecord() = %v", err)
		}
		if n := l.socket.counters.WriteErrors.Load(); n != 1 {
			t.Errorf("%d write errors", n)
		}
		p.socket.setFail(nil)
		if err := l.WriteRecord([]byte("text")); err != nil {
			t.Errorf("WriteRecord() = %v", err)
		}
		p.serverReads(t, "text")
		_ = l.Close()
		<-p.ended
		_ = p.server.Close()
	})
}

// What is not done here stays with the library, and so does all when it is told to.
func TestDTLSDialStays(t *testing.T) {
	for name, d := range map[string]dialling{
		"told to": {stay: true},
		"CCM":     {server: []dtls.ServerOption{dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM)}},
		"ChaCha20": {server: []dtls.ServerOption{
			dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := d.shake(t)
			if p.err != nil {
				t.Fatalf("%s: %v", name, p.err)
			}
			if _, ok := p.client.(*dtlsLink); !ok {
				t.Fatalf("%s: the session is a %T", name, p.client)
			}
			if err := p.client.WriteRecord([]byte("text")); err != nil {
				t.Fatal(err)
			}
			p.serverReads(t, "text")
			_, _ = p.client.Close(), p.server.Close()
		})
	}
}

//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/dotsgate/dotsgate/internal/front"
	"github.com/dotsgate/dotsgate/internal/record"
	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/internal/udp"
)

// echoer is a front on a free port whose sessions answer each record with itself.
type echoer struct {
	*front.Front
	counters front.Counters
	ended    chan error
	dir      string // client.pem, client.key, ca.pem
}

const recordPSK = "0123456789abcdef0123456789abcdef"

func newEchoer(t *testing.T) *echoer {
	t.Helper()
	e := &echoer{ended: make(chan error, 8), dir: t.TempDir()}
	ca := testpki.New(t, "root")
	testpki.Files(t, e.dir, ca, ca.Client("client.example"))
	sockets, err := udp.Listen(udp.Config{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	server := ca.Server().TLS()
	options := func() []dtls.ServerOption {
		return []dtls.ServerOption{
			dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
			dtls.WithCertificates(server), dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(ca.Pool()),
			dtls.WithPSK(func([]byte) ([]byte, error) { return fmt.Appendf(nil, "%s", recordPSK), nil }),
			dtls.WithCipherSuites(dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
				dtls.TLS_PSK_WITH_AES_128_GCM_SHA256),
		}
	}
	if e.Front, err = front.New(front.Config{Network: front.Sockets(sockets), Options: options, Counters: &e.counters}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = e.Run(ctx) })
	running.Go(func() { e.serve(ctx, options) })
	t.Cleanup(func() {
		cancel()
		_ = e.Close()
		running.Wait()
	})
	return e
}

func (e *echoer) serve(ctx context.Context, options func() []dtls.ServerOption) {
	for {
		c, err := e.Accept()
		if err != nil {
			return
		}
		shaking, cancel := context.WithTimeout(ctx, patience)
		_, err = c.Handshake(shaking, options())
		cancel()
		if err != nil {
			e.ended <- err
			continue
		}
		c.Serve(func(b []byte) { _ = c.Write(b) }, func(err error) { e.ended <- err })
	}
}

// RFC 6347, Section 4.1: OpenSSL reads what our record layer seals, and the other way round, in each suite that is done here; it
// is refused when it wants to renegotiate, and heard when it closes.
func TestInteropRecords(t *testing.T) {
	requireProgram(t, "openssl", "openssl")
	for name, args := range map[string][]string{
		"AES 128": {"-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		"AES 256": {"-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"},
		"PSK":     {"-cipher", "PSK-AES128-GCM-SHA256:@SECLEVEL=0", "-psk", fmt.Sprintf("%x", recordPSK)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEchoer(t)
			_, port, _ := net.SplitHostPort(e.Addr().String())
			cmd := exec.Command("openssl", append([]string{
				"s_client", "-dtls1_2", "-connect", "127.0.0.1:" + port, "-verify_return_error",
				"-cert", filepath.Join(e.dir, "cert.pem"), "-key", filepath.Join(e.dir, "key.pem"), "-CAfile", filepath.Join(e.dir, "ca.pem"),
			}, args...)...)
			input, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			p := launch(t, cmd)
			if p.waitFor("Extended master secret: yes") == "" {
				t.Fatal("no session")
			}
			for i := range 20 {
				text := fmt.Sprintf("line number %d of several", i)
				if _, err := io.WriteString(input, text+"\n"); err != nil {
					t.Fatal(err)
				}
				p.waitFor(text)
			}
			if n := e.counters.TakenOver.Load(); n != 1 {
				t.Errorf("%d sessions were taken over", n)
			}
			e.wantEnd(t, p, input)
		})
	}
}

// wantEnd asks for a renegotiation, which is refused, and after which OpenSSL gives up with a fatal alert or close_notify.
func (e *echoer) wantEnd(t *testing.T, p *process, input io.WriteCloser) {
	t.Helper()
	if _, err := io.WriteString(input, "R\n"); err != nil {
		t.Fatal(err)
	}
	p.waitFor("no renegotiation")
	_ = input.Close()
	select {
	case err := <-e.ended:
		if !errors.Is(err, io.EOF) && !errors.Is(err, record.ErrFatalAlert) {
			t.Errorf("the session ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the session goes on")
	}
}

package coap

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// patience is how long a test waits for what must happen; only a failing test waits so long.
const patience = 30 * time.Second

// credentialsOf loads the leaf and the authority it trusts from files.
func credentialsOf(t *testing.T, trust *testpki.Authority, leaf *testpki.Leaf, change ...func(*CredentialsConfig)) *Credentials {
	t.Helper()
	c, err := LoadCredentials(configOf(t, trust, leaf, change...))
	if err != nil {
		t.Fatalf("LoadCredentials() = %v", err)
	}
	return c
}

func configOf(t *testing.T, trust *testpki.Authority, leaf *testpki.Leaf, change ...func(*CredentialsConfig)) CredentialsConfig {
	t.Helper()
	var cfg CredentialsConfig
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = testpki.Files(t, t.TempDir(), trust, leaf)
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

// withCRL makes the credentials check a revocation list.
func withCRL(t *testing.T, list []byte) func(*CredentialsConfig) {
	t.Helper()
	name := t.TempDir() + "/crl.pem"
	testpki.WriteFile(t, name, list)
	return func(c *CredentialsConfig) { c.CRLFile = name }
}

// withKeys makes the credentials know pre-shared keys; identity is the one a dialer shows.
func withKeys(identity string, keys map[string]string) func(*CredentialsConfig) {
	return func(c *CredentialsConfig) {
		c.PSKIdentity = identity
		c.PSKs = func(id string) ([]byte, bool) {
			key, ok := keys[id]
			return []byte(key), ok
		}
	}
}

// listener is a running server and what it has seen.
type listener struct {
	*Server
	sessions chan *Session
	failures chan error
	stop     func()
}

// serve runs a server until the test ends and checks that it leaves no goroutine behind. It is called once in a test or
// subtest: what belongs to an earlier server and starts after the later one would be taken for left behind.
func serve(t *testing.T, cfg ServerConfig) *listener {
	t.Helper()
	noLeaks(t)
	l := &listener{sessions: make(chan *Session, 16), failures: make(chan error, 16)}
	cfg.Address = "127.0.0.1:0"
	if cfg.OnSession == nil {
		cfg.OnSession = func(s *Session) error {
			l.sessions <- s
			return nil
		}
	}
	cfg.OnFailure = func(_ net.Addr, err error) { l.failures <- err }
	server, err := Listen(cfg)
	if err != nil {
		t.Fatalf("Listen() = %v", err)
	}
	l.Server = server
	l.stop = runUntilEnd(t, server.Run)
	return l
}

// runUntilEnd runs a long-running part; the returned func, or the end of the test, ends it.
func runUntilEnd(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var done bool
	stop = func() {
		cancel()
		if done {
			return
		}
		done = true
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		case <-time.After(2 * patience):
			t.Error("Run does not return")
		}
	}
	t.Cleanup(stop)
	return stop
}

func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// dialer runs a dialer until the test ends.
func dialer(t *testing.T, cfg DialConfig) *Dialer {
	t.Helper()
	d, err := NewDialer(cfg)
	if err != nil {
		t.Fatalf("NewDialer() = %v", err)
	}
	runUntilEnd(t, d.Run)
	return d
}

// dialOnce dials a server once.
func dialOnce(t *testing.T, cfg DialConfig) (*Session, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return dialer(t, cfg).Dial(ctx)
}

func mustDial(t *testing.T, cfg DialConfig) *Session {
	t.Helper()
	s, err := dialOnce(t, cfg)
	if err != nil {
		t.Fatalf("Dial() = %v", err)
	}
	return s
}

// session is the next session that the server has.
func (l *listener) session(t *testing.T) *Session {
	t.Helper()
	select {
	case s := <-l.sessions:
		return s
	case err := <-l.failures:
		t.Fatalf("handshake failed: %v", err)
	case <-time.After(patience):
		t.Fatal("no session")
	}
	return nil
}

// failure is the next failed handshake that the server has seen.
func (l *listener) failure(t *testing.T) error {
	t.Helper()
	select {
	case err := <-l.failures:
		return err
	case s := <-l.sessions:
		t.Fatalf("got a session of %+v", s.Peer())
	case <-time.After(patience):
		t.Fatal("no failed handshake")
	}
	return nil
}

// wantEnd waits for the end of the session and its reason; a nil want takes any.
func wantEnd(t *testing.T, s *Session, want error) {
	t.Helper()
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("the session does not end")
	}
	if err := s.Err(); want != nil && !errors.Is(err, want) {
		t.Errorf("Err() = %v, want %v", err, want)
	}
}

func bothNetworks(t *testing.T, test func(t *testing.T, network string)) {
	for _, network := range []string{NetworkUDP, NetworkTCP} {
		t.Run(network, func(t *testing.T) { test(t, network) })
	}
}

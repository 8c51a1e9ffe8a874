package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func get(t *testing.T, h http.Handler, method, path string) (int, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
	return rec.Code, rec.Body.String()
}

func TestHandler(t *testing.T) {
	cause := error(nil)
	h := Handler(New(Config{}), func() error { return cause })

	if code, body := get(t, h, http.MethodGet, "/metrics"); code != http.StatusOK || !strings.Contains(body, "\n"+NameSessions+"{") {
		t.Errorf("/metrics: %d %.200s", code, body)
	}
	if code, body := get(t, h, http.MethodGet, "/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	if code, body := get(t, h, http.MethodGet, "/readyz"); code != http.StatusOK || body != "ready\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}

	cause = errors.New("no uplink has a session")
	if code, body := get(t, h, http.MethodGet, "/readyz"); code != http.StatusServiceUnavailable || body != "not ready: no uplink has a session\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	if code, _ := get(t, h, http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz while not ready: %d", code)
	}
	cause = errors.New(strings.Repeat("x", 4096))
	if _, body := get(t, h, http.MethodGet, "/readyz"); len(body) != maxReasonBytes+1 {
		t.Errorf("/readyz: %d bytes of reason", len(body))
	}
}

func TestHandlerRefuses(t *testing.T) {
	h := Handler(New(Config{}), nil)
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodDelete, "/healthz", http.StatusMethodNotAllowed},
		{http.MethodPut, "/readyz", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/debug/pprof/", http.StatusNotFound},
		{http.MethodGet, "/readyz", http.StatusOK},
	} {
		if code, _ := get(t, h, tt.method, tt.path); code != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, code, tt.want)
		}
	}
}

func TestServer(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), NameMailboxDepth+" 0") {
		t.Errorf("%s: %.200s", resp.Status, body)
	}

	cancel()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Errorf("still listening on %v", c.RemoteAddr())
	}
}

func TestServerHasTimeouts(t *testing.T) {
	s, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.http.ReadHeaderTimeout <= 0 || s.http.ReadTimeout <= 0 || s.http.WriteTimeout <= 0 || s.http.IdleTimeout <= 0 || s.http.MaxHeaderBytes <= 0 {
		t.Errorf("a client may hold the server for ever: %+v", s.http)
	}
}

func TestServerStaysHome(t *testing.T) {
	_, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "0.0.0.0:0"})
	if !errors.Is(err, ErrNotLoopback) {
		t.Fatalf("got %v, want ErrNotLoopback", err)
	}
	s, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "0.0.0.0:0", AllowRemote: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestServerAddressTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: l.Addr().String()}); err == nil {
		t.Error("bound an address that is taken")
	}
}

// TestServerFails shows that Run ends by itself, with the reason, when its socket goes away.
func TestServerFails(t *testing.T) {
	defer goleak.VerifyNone(t)
	s, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want net.ErrClosed", err)
	}
}

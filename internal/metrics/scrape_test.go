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
	"time"

	"go.uber.org/goleak"

	"github.com/dotsgate/dotsgate/dots"
)

// TestScrapeText reads what a scraper reads, line by line.
func TestScrapeText(t *testing.T) {
	m := New(Config{Version: "1.2.3", Revision: "abc", Uplinks: []string{`a "b"`}, MailboxCapacity: 8})
	m.SessionOpened(Downstream, DTLS)
	m.Request(Downstream, MethodPut, dots.CodeCreated)
	m.SetUplinkUp(`a "b"`, true)
	m.Committed(1500*time.Microsecond, 3, nil)
	_, body := get(t, Handler(m, nil), http.MethodGet, "/metrics")
	for _, line := range []string{
		"# HELP dotsgate_sessions Open CoAP sessions.",
		"# TYPE dotsgate_sessions gauge",
		`dotsgate_sessions{side="downstream",transport="dtls"} 1`,
		`dotsgate_sessions{side="downstream",transport="tls"} 0`,
		"# TYPE dotsgate_requests_total counter",
		`dotsgate_requests_total{code="2.01",method="put",side="downstream"} 1`,
		`dotsgate_uplink_up{uplink="a \"b\""} 1`,
		"# TYPE dotsgate_commit_seconds histogram",
		`dotsgate_commit_seconds_bucket{le="0.001"} 0`,
		`dotsgate_commit_seconds_bucket{le="0.002"} 1`,
		`dotsgate_commit_seconds_bucket{le="+Inf"} 1`,
		"dotsgate_commit_seconds_sum 0.0015",
		`dotsgate_commit_batches_bucket{le="2"} 0`,
		`dotsgate_commit_batches_bucket{le="4"} 1`,
		"dotsgate_mailbox_capacity 8",
	} {
		if !strings.Contains(body, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(body, `revision="abc",version="1.2.3"} 1`) || !strings.Contains(body, "\ngo_goroutines ") {
		t.Error("neither the build nor the Go runtime is told")
	}
}

// TestScrapesAreBounded: while four scrapes wait for a slow source, the fifth is turned away at once.
func TestScrapesAreBounded(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	h := Handler(New(Config{CoAP: func(s Side) CoAPCounters {
		if s == Downstream {
			reached <- struct{}{}
			<-release
		}
		return CoAPCounters{}
	}}), nil)
	scrape := func(code chan<- int) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		code <- rec.Code
	}
	codes, fifth := make(chan int, scrapesInFlight), make(chan int, 1)
	for range scrapesInFlight {
		go scrape(codes)
	}
	for range scrapesInFlight {
		<-reached
	}
	go scrape(fifth)
	select {
	case code := <-fifth:
		if code != http.StatusServiceUnavailable {
			t.Errorf("the fifth scrape got %d", code)
		}
	case <-reached:
		t.Error("the fifth scrape was let in")
	}
	if code, _ := get(t, h, http.MethodGet, "/healthz"); code != http.StatusOK {
		t.Errorf("/healthz meanwhile: %d", code)
	}
	close(release)
	for range scrapesInFlight {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("one of the four got %d", code)
		}
	}
}

// TestPagesAreForProgramsOnly: browsers and caches are told to make nothing of them.
func TestPagesAreForProgramsOnly(t *testing.T) {
	h := Handler(New(Config{}), func() error { return errors.New("<script>alert(1)</script>") })
	for _, path := range []string{"/healthz", "/readyz"} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		for key, want := range map[string]string{
			"Content-Type": contentTypePlain, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		} {
			if got := rec.Header().Get(key); got != want {
				t.Errorf("%s: %s is %q, want %q", path, key, got, want)
			}
		}
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodHead, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Errorf("HEAD /metrics: %d", rec.Code)
	}
}

// TestReadyIsAskedEachTime, so that a gateway that has lost its uplinks says so at the next question.
func TestReadyIsAskedEachTime(t *testing.T) {
	asked := 0
	h := Handler(New(Config{}), func() error {
		if asked++; asked%2 == 0 {
			return errors.New("no uplink")
		}
		return nil
	})
	for i := range 4 {
		want := http.StatusOK
		if i%2 == 1 {
			want = http.StatusServiceUnavailable
		}
		if code, _ := get(t, h, http.MethodGet, "/readyz"); code != want {
			t.Errorf("question %d: %d, want %d", i+1, code, want)
		}
	}
	if get(t, h, http.MethodGet, "/healthz"); asked != 4 {
		t.Errorf("asked %d times, want 4: being alive is not being ready", asked)
	}
}

// TestServerFinishesAnswers: an answer under way when the gateway stops is given to its end.
func TestServerFinishesAnswers(t *testing.T) {
	defer goleak.VerifyNone(t)
	reached, release := make(chan struct{}), make(chan struct{})
	s, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "127.0.0.1:0", Ready: func() error {
		close(reached)
		<-release
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	type answered struct {
		body string
		err  error
	}
	got := make(chan answered, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + s.Addr().String() + "/readyz")
		if err != nil {
			got <- answered{err: err}
			return
		}
		body, err := io.ReadAll(resp.Body)
		got <- answered{string(body), errors.Join(err, resp.Body.Close())}
	}()
	<-reached
	cancel()
	for { // until nobody new is let in: from then on the server is stopping
		conn, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			break
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-ran:
		t.Errorf("Run returned %v with an answer under way", err)
	default:
	}
	close(release)
	if a := <-got; a.err != nil || a.body != "ready\n" {
		t.Errorf("the answer is %q, %v", a.body, a.err)
	}
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// TestServerAddresses: what others could reach is refused, however it is written.
func TestServerAddresses(t *testing.T) {
	for address, want := range map[string]error{
		"127.0.0.1:0": nil, "127.9.9.9:0": nil, "localhost:0": nil,
		"0.0.0.0:0": ErrNotLoopback, ":0": ErrNotLoopback,
	} {
		s, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: address})
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", address, err, want)
		}
		if s != nil {
			if err := s.Close(); err != nil {
				t.Errorf("%q: closing: %v", address, err)
			}
		}
	}
	if _, err := NewServer(ServerConfig{Metrics: New(Config{}), Address: "no port"}); err == nil || errors.Is(err, ErrNotLoopback) {
		t.Errorf("an address without a port: %v", err)
	}
	host, port, err := net.SplitHostPort(DefaultAddress)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() || port == "0" {
		t.Errorf("the default %s is not a port of this host's own: %v", DefaultAddress, err)
	}
}

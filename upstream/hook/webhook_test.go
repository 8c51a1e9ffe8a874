package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/testpki"
	"github.com/dotsgate/dotsgate/upstream"
)

const secret = "correct horse battery staple"

// secretFile has the secret as editors leave it.
func secretFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// receiver is a service at the other end: it verifies every request by itself, and answers what the test says.
type receiver struct {
	*testing.T
	mu     sync.Mutex
	asked  []string
	keys   []string
	answer func(w http.ResponseWriter, r *http.Request, m map[string]any)
	peer   string // the name in the client's certificate
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.Error(err)
	}
	stamp := req.Header.Get("Dotsgate-Timestamp")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if off := time.Since(time.Unix(at, 0)); err != nil || off > 5*time.Minute || off < -time.Minute {
		r.Errorf("timestamp %q", stamp)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + string(body)))
	if got := req.Header.Get("Dotsgate-Signature"); got != "v1="+hex.EncodeToString(mac.Sum(nil)) {
		r.Errorf("signature %q", got)
	}
	var m map[string]any
	if req.Method == http.MethodPost {
		if err := json.Unmarshal(body, &m); err != nil {
			r.Error(err)
		}
		if key := req.Header.Get("Idempotency-Key"); key == "" || key != m["request"] {
			r.Errorf("key %q of %v", key, m["request"])
		}
		if req.Header.Get("Content-Type") != "application/json" || m["version"] != 1.0 {
			r.Errorf("content type %q, version %v", req.Header.Get("Content-Type"), m["version"])
		}
	}
	for _, hidden := range []string{"secret-alias", "secret-cdid", secret} {
		if bytes.Contains(body, []byte(hidden)) {
			r.Errorf("%q is told", hidden)
		}
	}
	r.mu.Lock()
	r.asked = append(r.asked, strings.TrimSpace(fmt.Sprint(req.Method, " ", req.URL.Path, " ", or(m["action"]), " ", or(m["id"]))))
	r.keys = append(r.keys, req.Header.Get("Idempotency-Key"))
	if req.TLS != nil && len(req.TLS.PeerCertificates) > 0 {
		r.peer = req.TLS.PeerCertificates[0].Subject.CommonName
	}
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req, m)
	}
}

// say answers a request.
func say(w http.ResponseWriter, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func or(v any) any {
	if v == nil {
		return ""
	}
	return v
}

func (r *receiver) took(want ...string) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := cmp.Diff(append([]string{}, want...), append([]string{}, r.asked...)); d != "" {
		r.Fatalf("received (-want +got)\n%s", d)
	}
	r.asked = nil
}

// webhookTo makes a Mitigator of a receiver on a loopback address.
func webhookTo(t *testing.T, r *receiver, change func(*WebhookConfig)) *Mitigator {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	cfg := WebhookConfig{Uplink: "scrub", Owner: "gw1", URL: server.URL + "/dots", SecretFile: secretFile(t)}
	if change != nil {
		cfg.StatusURL = server.URL + "/dots/{id}"
		change(&cfg)
	}
	m, err := NewWebhook(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestWebhook(t *testing.T) {
	r := &receiver{T: t}
	m := webhookTo(t, r, nil)
	id := m.id(aLeg(1).Key)
	r.answer = func(w http.ResponseWriter, _ *http.Request, got map[string]any) {
		switch got["action"] {
		case "list":
			say(w, `{"mitigations":[{"id":%q}]}`, id)
		case "change":
			say(w, `{"status":"mitigated","counters":{"bytes":12}}`)
			if target := fmt.Sprint(got["mitigation"]); !strings.Contains(target, "192.0.2.0/24") {
				t.Errorf("asked for %v", target)
			}
		case "stop":
			w.WriteHeader(http.StatusNoContent)
		}
	}
	keys, err := m.Open(t.Context())
	if err != nil || len(keys) != 1 || keys[0] != aLeg(1).Key {
		t.Fatalf("opened with %v, %v", keys, err)
	}
	if err := m.Start(t.Context(), aLeg(1)); err != nil {
		t.Fatal(err)
	}
	told, err := m.Status(t.Context(), keys)
	want := []upstream.LegReport{{Key: keys[0], Report: dots.Report{Status: dots.StatusMitigated, Counters: dots.Counters{BytesDropped: dots.Some[uint64](12)}}}}
	if d := cmp.Diff(want, told); d != "" || err != nil {
		t.Fatalf("told, %v (-want +got)\n%s", err, d)
	}
	if err := m.Stop(t.Context(), keys[0]); err != nil {
		t.Fatal(err)
	}
	r.took("POST /dots list", "POST /dots change "+id, "POST /dots stop "+id)
	if r.keys[0] == r.keys[1] || r.keys[1] == r.keys[2] {
		t.Errorf("keys %v", r.keys)
	}
}

// A status is asked of a URL, of every leg for itself; what is not known there is not in force.
func TestWebhookStatus(t *testing.T) {
	r := &receiver{T: t}
	m := webhookTo(t, r, func(*WebhookConfig) {})
	var keys []dots.LegKey
	for mid := range uint32(50) {
		keys = append(keys, aLeg(mid).Key)
	}
	r.answer = func(w http.ResponseWriter, req *http.Request, _ map[string]any) {
		k, ok := m.key(strings.TrimPrefix(req.URL.Path, "/dots/"))
		switch {
		case !ok || req.Method != http.MethodGet:
			t.Errorf("%s %s", req.Method, req.URL)
		case k.MID%3 == 0:
			say(w, `{"status":"exceeded"}`)
		case k.MID%3 == 1:
			say(w, `{"mitigations":[{"id":%q,"status":"mitigated"}]}`, m.id(k))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
	told, err := m.Status(t.Context(), keys)
	if err != nil || len(told) != 50 {
		t.Fatalf("told %v, %v", told, err)
	}
	for _, r := range told {
		want := []dots.Status{dots.StatusExceeded, dots.StatusMitigated, dots.StatusTerminated}[r.Key.MID%3]
		if r.Report.Status != want {
			t.Errorf("%d is %v, want %v", r.Key.MID, r.Report.Status, want)
		}
	}
	r.answer = func(w http.ResponseWriter, _ *http.Request, _ map[string]any) { w.WriteHeader(http.StatusBadGateway) }
	if _, err := m.Status(t.Context(), keys); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("got %v", err)
	}
}

// Each time the question begins where the last one ended, so that a slow receiver does not leave out the same ones for ever.
func TestWebhookStatusGoesRound(t *testing.T) {
	r := &receiver{T: t}
	m := webhookTo(t, r, func(*WebhookConfig) {})
	r.answer = func(w http.ResponseWriter, req *http.Request, _ map[string]any) {
		if strings.HasSuffix(req.URL.Path, ".3") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		say(w, `{"status":"mitigated"}`)
	}
	seen := map[uint32]bool{}
	for range 20 {
		var keys []dots.LegKey
		for mid := range uint32(40) {
			keys = append(keys, aLeg(mid).Key)
		}
		told, err := m.Status(t.Context(), keys)
		if err != nil && len(told) > 0 {
			t.Fatal(err)
		}
		for _, r := range told {
			seen[r.Key.MID] = true
		}
	}
	if len(seen) != 39 {
		t.Errorf("%d of 39 were told", len(seen))
	}
}

func TestWebhookOverTLS(t *testing.T) {
	ca := testpki.New(t, "ca")
	other := testpki.New(t, "other")
	r := &receiver{T: t}
	server := httptest.NewUnstartedServer(r)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server().TLS()}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	dir := t.TempDir()
	caFile, cert, key := testpki.Files(t, dir, ca, ca.Client("gateway"))
	good := WebhookConfig{Uplink: "scrub", URL: server.URL, SecretFile: secretFile(t), CAFile: caFile, CertFile: cert, KeyFile: key}
	open := func(cfg WebhookConfig) error {
		m, err := NewWebhook(cfg)
		if err != nil {
			t.Fatal(err)
		}
		m.carrier.(*webhook).client.Transport.(*http.Transport).TLSClientConfig.ServerName = "localhost"
		defer m.Close()
		return quick(m, func() error { _, err := m.Open(t.Context()); return err })
	}
	if err := open(good); err != nil {
		t.Fatal(err)
	}
	if r.peer != "gateway" {
		t.Errorf("the receiver saw %q", r.peer)
	}
	stranger := good
	stranger.CAFile = filepath.Join(dir, "other.pem")
	testpki.WriteFile(t, stranger.CAFile, other.PEM())
	if err := open(stranger); err == nil {
		t.Error("a receiver of another authority is taken")
	}
	bare := good
	bare.CertFile, bare.KeyFile = "", ""
	if err := open(bare); err == nil {
		t.Error("it went without our certificate")
	}
	if len(r.asked) != 1 {
		t.Errorf("received %v", r.asked)
	}
}

// quick makes a webhook not wait between attempts.
func quick(m *Mitigator, f func() error) error {
	m.carrier.(*webhook).pause = time.Nanosecond
	return f()
}

// tripper is an HTTP transport in memory.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func httpReply(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// What fails for now is repeated with the same key, slower each time; what is refused is not.
func TestWebhookRepeats(t *testing.T) {
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name    string
		replies []*http.Response // nil: no connection
		action  string
		at      []time.Duration
		code    dots.Code // 0: no refusal
		err     bool
	}{
		{"at once", []*http.Response{httpReply(200, "")}, "start", []time.Duration{0}, 0, false},
		{
			"third time",
			[]*http.Response{nil, httpReply(502, "<html>"), httpReply(201, "{}")},
			"start",
			[]time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond},
			0, false,
		},
		{"never", []*http.Response{nil, nil, nil}, "start", []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond}, 0, true},
		{"told to wait", []*http.Response{httpReply(429, "", "Retry-After", "3"), httpReply(200, "")}, "start", []time.Duration{0, 3 * time.Second}, 0, false},
		{"told to wait long", []*http.Response{httpReply(503, "", "Retry-After", "3600"), httpReply(200, "")}, "start", []time.Duration{0, 10 * time.Second}, 0, false},
		{
			"our signature is not taken",
			[]*http.Response{httpReply(401, ""), httpReply(403, ""), httpReply(200, "")},
			"start",
			[]time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond},
			0, false,
		},
		{"redirected", []*http.Response{httpReply(307, "", "Location", "http://127.0.0.1/x"), httpReply(200, "")}, "start", []time.Duration{0, 500 * time.Millisecond}, 0, false},
		{"refused", []*http.Response{httpReply(422, `{"refused":{"code":"5.03","message":"full","retry_after":7}}`)}, "start", []time.Duration{0}, dots.CodeUnavailable, true},
		{"refused with success", []*http.Response{httpReply(200, `{"refused":{}}`)}, "start", []time.Duration{0}, dots.CodeBadRequest, true},
		{"refused without words", []*http.Response{httpReply(400, `Bad`)}, "start", []time.Duration{0}, dots.CodeBadRequest, true},
		{"no such URL", []*http.Response{httpReply(404, "")}, "start", []time.Duration{0}, 0, true},
		{"stopped and not known", []*http.Response{httpReply(404, "")}, "stop", []time.Duration{0}, 0, false},
		{"nonsense", []*http.Response{httpReply(200, "OK")}, "start", []time.Duration{0}, 0, true},
		{"too long", []*http.Response{httpReply(200, strings.Repeat(" ", maxAnswer+1))}, "start", []time.Duration{0}, 0, true},
		{
			"endless",
			[]*http.Response{{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(&endless{t: t})}},
			"start",
			[]time.Duration{0},
			0, true,
		},
		{"list not known", []*http.Response{httpReply(405, "")}, "list", []time.Duration{0}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := secretFile(t)
			synctest.Test(t, func(t *testing.T) {
				m, err := NewWebhook(WebhookConfig{Uplink: "scrub", URL: "https://scrub.example/", SecretFile: file})
				if err != nil {
					t.Fatal(err)
				}
				var at []time.Duration
				keys := map[string]bool{}
				start := time.Now()
				m.carrier.(*webhook).client.Transport = tripper(func(r *http.Request) (*http.Response, error) {
					at = append(at, time.Since(start))
					keys[r.Header.Get(HeaderIdempotency)] = true
					if want := strconv.FormatInt(time.Now().Unix(), 10); r.Header.Get(HeaderTimestamp) != want {
						t.Errorf("sent at %v, said %v", want, r.Header.Get(HeaderTimestamp))
					}
					if reply := tt.replies[len(at)-1]; reply != nil {
						return reply, nil
					}
					return nil, down
				})
				switch tt.action {
				case "start":
					err = m.Start(t.Context(), aLeg(1))
				case "stop":
					err = m.Stop(t.Context(), aLeg(1).Key)
				default:
					_, err = m.Open(t.Context())
				}
				var refused *dots.Error
				if (err != nil) != tt.err || errors.As(err, &refused) != (tt.code != 0) || refused != nil && refused.Code != tt.code {
					t.Errorf("got %v", err)
				}
				if d := cmp.Diff(tt.at, at); d != "" || len(keys) != 1 {
					t.Errorf("sent with %d keys (-want +got)\n%s", len(keys), d)
				}
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("%v shows the secret", err)
				}
			})
		})
	}
}

// An attempt at a receiver that hangs ends after its time limit, and all of them with the caller's.
func TestWebhookHangs(t *testing.T) {
	file := secretFile(t)
	synctest.Test(t, func(t *testing.T) {
		m, err := NewWebhook(WebhookConfig{Uplink: "scrub", URL: "https://scrub.example/", SecretFile: file})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		m.carrier.(*webhook).client.Transport = tripper(func(r *http.Request) (*http.Response, error) {
			n++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		start := time.Now()
		if err := m.Start(ctx, aLeg(1)); err == nil || n != 2 || time.Since(start) != 15*time.Second {
			t.Errorf("%d attempts ended after %v with %v", n, time.Since(start), err)
		}
	})
}

func TestWebhookConfigured(t *testing.T) {
	file := secretFile(t)
	short := filepath.Join(t.TempDir(), "short")
	long := filepath.Join(t.TempDir(), "long")
	testpki.WriteFile(t, short, []byte("   fifteen-letters   \n\n"))
	testpki.WriteFile(t, long, bytes.Repeat([]byte("x"), maxSecret+1))
	good := WebhookConfig{Uplink: "scrub", URL: "https://scrub.example/dots", SecretFile: file}
	for name, spoil := range map[string]func(*WebhookConfig){
		"no uplink":           func(c *WebhookConfig) { c.Uplink = "" },
		"no URL":              func(c *WebhookConfig) { c.URL = "" },
		"no host":             func(c *WebhookConfig) { c.URL = "https:///dots" },
		"in the open":         func(c *WebhookConfig) { c.URL = "http://scrub.example/dots" },
		"no loopback":         func(c *WebhookConfig) { c.URL = "http://127.0.0.1.example/dots" },
		"with a password":     func(c *WebhookConfig) { c.URL = "https://a:b@scrub.example/" },
		"another scheme":      func(c *WebhookConfig) { c.URL = "ftp://scrub.example/" },
		"status without {id}": func(c *WebhookConfig) { c.StatusURL = "https://scrub.example/" },
		"status in the open":  func(c *WebhookConfig) { c.StatusURL = "http://scrub.example/{id}" },
		"no secret":           func(c *WebhookConfig) { c.SecretFile = "" },
		"secret not there":    func(c *WebhookConfig) { c.SecretFile = file + "x" },
		"short secret":        func(c *WebhookConfig) { c.SecretFile = short },
		"long secret":         func(c *WebhookConfig) { c.SecretFile = long },
		"no such CA":          func(c *WebhookConfig) { c.CAFile = file + "x" },
		"no CA":               func(c *WebhookConfig) { c.CAFile = file },
		"no key":              func(c *WebhookConfig) { c.CertFile = file },
		"no certificate":      func(c *WebhookConfig) { c.CertFile, c.KeyFile = file, file },
		"negative timeout":    func(c *WebhookConfig) { c.Timeout = -1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := NewWebhook(cfg); err == nil || strings.Contains(err.Error(), "fifteen") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, url := range []string{"https://scrub.example:8443/x?y=z", "http://127.0.0.1:80/", "http://[::1]/", "http://localhost/"} {
		cfg := good
		cfg.URL = url
		if _, err := NewWebhook(cfg); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// The secret may be exchanged while the gateway runs: it is read again when the webhook is opened again.
func TestSecretIsReadAgain(t *testing.T) {
	r := &receiver{T: t}
	var file string
	m := webhookTo(t, r, func(c *WebhookConfig) { file = c.SecretFile })
	testpki.WriteFile(t, file, []byte("x"))
	if _, err := m.Open(t.Context()); err == nil {
		t.Error("opened without a secret")
	}
	m.carrier.(*webhook).secret = []byte("an older secret of before")
	testpki.WriteFile(t, file, []byte(secret))
	if _, err := m.Open(t.Context()); err != nil {
		t.Error(err)
	}
	r.took("POST /dots list")
}

// endless is a body that never ends, and whose reader is to end before.
type endless struct {
	t    *testing.T
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.read > 2*maxAnswer {
		e.t.Errorf("%d bytes of an answer were read, %d are the most", e.read, maxAnswer)
		return 0, io.EOF
	}
	e.read += len(b)
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

package aaa

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

func TestReadHook(t *testing.T) {
	undefined := Decision{Reason: "the hook's rule is undefined"}
	for in, want := range map[string]Decision{
		`{"result": true}`:                                        {Allow: true},
		` {"result" : false } `:                                   {},
		`{"decision_id": "x", "result": true}`:                    {Allow: true},
		`{"result": {"allow": true}}`:                             {Allow: true},
		`{"result": {"allow": false, "reason": "not\ntoday"}}`:    {Reason: "not today"},
		`{"result": {"allow": true, "reason": 7}}`:                {Allow: true},
		`{"result": {"allow": true, "reason": null, "more": []}}`: {Allow: true},
		`{}`:                              undefined,
		`{"result": null}`:                undefined,
		`{"Result": true}`:                undefined,
		`{"RESULT": true, "allow": true}`: undefined,
	} {
		got, err := readHook([]byte(in))
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{
		``, `null`, `true`, `[]`, `"result"`, `{"result": true`, `{"result": true} {}`, `{"result": "true"}`, `{"result": 1}`,
		`{"result": []}`, `{"result": {}}`, `{"result": {"Allow": true}}`, `{"result": {"allow": "true"}}`, `{"result": {"allow": null}}`,
		`{"result": {"allow": 1}}`, `{"result": tru}`, `{"result": true}` + strings.Repeat(" ", maxHookAnswer),
	} {
		if got, err := readHook([]byte(in)); err == nil || got != (Decision{}) {
			t.Errorf("%.60s: %+v, want an error", in, got)
		}
	}
}

func FuzzReadHook(f *testing.F) {
	f.Add([]byte(`{"result": true}`))
	f.Add([]byte(`{"result": {"allow": true, "reason": "x"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := readHook(b)
		if err != nil && d != (Decision{}) || d.Failed || len(d.Reason) > MaxReason {
			t.Errorf("%q: %+v, %v", b, d, err)
		}
		if d.Allow && !strings.Contains(string(b), "true") {
			t.Errorf("%q is taken for a permission", b)
		}
	})
}

// hookOf makes a hook of a server that answers so.
func hookOf(t *testing.T, serve http.HandlerFunc) (*hook, *countingMeter) {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	meter := newMeter()
	h, err := newHook(HTTPConfig{URL: s.URL + "/v1/data/dots/allow"}, meter)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	h.run(ctx)
	return h, meter
}

// What the hook is sent: the Open Policy Agent's envelope.
func TestHookQuestion(t *testing.T) {
	var got map[string]any
	var kind, path string
	h, _ := hookOf(t, func(w http.ResponseWriter, r *http.Request) {
		kind, path = r.Method+" "+r.Header.Get("Content-Type"), r.URL.Path
		b, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(b, &got) != nil {
			t.Errorf("body %q, %v", b, err)
		}
		_, _ = io.WriteString(w, `{"result": {"allow": true, "reason": "customer"}}`)
	})
	d, err := h.ask(t.Context(), request())
	if err != nil || d != (Decision{Allow: true, Reason: "customer"}) {
		t.Errorf("ask() = %+v, %v", d, err)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"input":{"cdid":"","client":"client1","cuid":"dz6pHjaADkaFTbjr0JGBpw","domain":"customer-a","lifetime":3600,"mid":7,` +
		`"ports":["80","8000-8080"],"protocols":["6","17"],"targets":["192.0.2.0/24","www.example.com"]}}`
	if string(b) != want || kind != "POST application/json" || path != "/v1/data/dots/allow" {
		t.Errorf("%s %s %s, want %s", kind, path, b, want)
	}
	if _, err := h.ask(t.Context(), Request{}); err != nil {
		t.Fatal(err)
	}
	if b, err = json.Marshal(got); err != nil || !strings.Contains(string(b), `"ports":[]`) {
		t.Errorf("an empty list is written as %s, %v", b, err)
	}
}

// Whatever is no decision is silence, counted by its kind.
func TestHookFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		drops string
	}{
		"an error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"result": true}`)
		}, "[unusable_status:1]"},
		"nothing to say":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "[unusable_status:1]"},
		"garbage":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "[unusable_content:1]"},
		"an empty answer": {func(http.ResponseWriter, *http.Request) {}, "[unusable_content:1]"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"result": true}`+strings.Repeat(" ", maxHookAnswer))
		}, "[unusable_content:1]"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"result": true}`)
		}, "[]"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "[]"},
	} {
		h, meter := hookOf(t, tt.serve)
		if d, err := h.ask(t.Context(), request()); err == nil || d != (Decision{}) {
			t.Errorf("%s: ask() = %+v, %v", name, d, err)
		}
		if got := meter.drops(); got != tt.drops {
			t.Errorf("%s: dropped %s, want %s", name, got, tt.drops)
		}
	}
}

// A redirect is no decision, and nobody follows it.
func TestHookRedirect(t *testing.T) {
	var followed atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Store(true)
		_, _ = io.WriteString(w, `{"result": true}`)
	}))
	defer other.Close()
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		h, _ := hookOf(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) })
		if d, err := h.ask(t.Context(), request()); err == nil || followed.Load() {
			t.Errorf("%d: ask() = %+v, %v; followed: %v", status, d, err, followed.Load())
		}
	}
}

// A hook that does not answer is given up, by its own patience or the caller's.
func TestHookSilence(t *testing.T) {
	hold := make(chan struct{})
	h, _ := hookOf(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body) // only then the server sees that the client is gone
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	defer close(hold)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.ask(ctx, request()); err == nil {
		t.Error("ask() = nil with a context that is over")
	}
	h.client.Timeout = 20 * time.Millisecond
	if _, err := h.ask(t.Context(), request()); err == nil || !strings.Contains(err.Error(), "asking the hook") {
		t.Errorf("ask() = %v", err)
	}
}

// Over TLS both sides are proven: the hook by the authority that is configured, we by our certificate.
func TestHookTLS(t *testing.T) {
	ca, stranger := testpki.New(t, "root"), testpki.New(t, "other root")
	leaf := ca.Server()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"result": {"allow": true, "reason": "`+r.TLS.PeerCertificates[0].DNSNames[0]+`"}}`)
	}))
	s.Config.ErrorLog = discardLog()
	server := filesOf(t, ca, leaf)
	pair, err := tls.LoadX509KeyPair(server.CertFile, server.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	defer s.Close()
	ours, theirs := filesOf(t, ca, ca.Client("gate.example")), filesOf(t, stranger, stranger.Client("gate.example"))
	for name, tt := range map[string]struct {
		cfg  HTTPConfig
		want Decision
		ok   bool
	}{
		"all proven":               {ours, Decision{Allow: true, Reason: "gate.example"}, true},
		"no certificate":           {HTTPConfig{CAFile: ours.CAFile}, Decision{}, false},
		"a stranger's":             {HTTPConfig{CAFile: ours.CAFile, CertFile: theirs.CertFile, KeyFile: theirs.KeyFile}, Decision{}, false},
		"another authority":        {HTTPConfig{CAFile: theirs.CAFile, CertFile: ours.CertFile, KeyFile: ours.KeyFile}, Decision{}, false},
		"the system's authorities": {HTTPConfig{CertFile: ours.CertFile, KeyFile: ours.KeyFile}, Decision{}, false},
	} {
		tt.cfg.URL = s.URL
		h, err := newHook(tt.cfg, newMeter())
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.ask(t.Context(), request())
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("%s: ask() = %+v, %v", name, got, err)
		}
		h.client.CloseIdleConnections()
	}
}

func TestHookConfigFaults(t *testing.T) {
	pki := testpki.New(t, "root")
	files := filesOf(t, pki, pki.Client("gate.example"))
	for name, tt := range map[string]struct {
		cfg   HTTPConfig
		fault string
	}{
		"no URL":             {HTTPConfig{}, "neither https nor http on this host"},
		"no host":            {HTTPConfig{URL: "https:///v1"}, "neither https"},
		"in the clear":       {HTTPConfig{URL: "http://opa.example/v1"}, "neither https"},
		"another scheme":     {HTTPConfig{URL: "ftp://localhost/v1"}, "neither https"},
		"unreadable":         {HTTPConfig{URL: "https://a b/"}, "reading the hook's URL"},
		"no such authority":  {HTTPConfig{URL: "https://opa.example", CAFile: "/nonexistent"}, "authorities"},
		"an empty authority": {HTTPConfig{URL: "https://opa.example", CAFile: secretFile(t, "none")}, "no certificate"},
		"half a pair":        {HTTPConfig{URL: "https://opa.example", CertFile: files.CertFile}, "certificate for the hook"},
	} {
		if _, err := newHook(tt.cfg, newMeter()); err == nil || !strings.Contains(err.Error(), tt.fault) {
			t.Errorf("%s: %v, want %q", name, err, tt.fault)
		}
	}
	for _, url := range []string{"https://opa.example/v1", "http://localhost:8181/v1", "http://127.0.0.2:8181", "http://[::1]:8181"} {
		if _, err := newHook(HTTPConfig{URL: url}, newMeter()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	// A password in a URL does not get into an error.
	if _, err := newHook(HTTPConfig{URL: "http://me:hidden@opa.example"}, newMeter()); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("newHook() = %v", err)
	}
}

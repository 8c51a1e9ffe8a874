package aaa

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// HTTPConfig says how an HTTP hook is asked.
type HTTPConfig struct {
	// URL takes the questions: https, or http on the same host. For the Open Policy Agent: .../v1/data/PACKAGE/RULE. Required.
	URL string
	// CAFile holds the authorities, in PEM, of the server's certificate. Empty: the system's.
	CAFile string
	// CertFile and KeyFile are our own certificate, in PEM, that we show when asked. Both or neither.
	CertFile, KeyFile string
	// Timeout bounds one question from the connection to the last byte of the answer. Zero: DefaultHTTPTimeout.
	Timeout time.Duration
}

const (
	// DefaultHTTPTimeout is the patience with a hook.
	DefaultHTTPTimeout = 3 * time.Second
	// maxHookAnswer bounds a hook's answer, in bytes.
	maxHookAnswer = 64 << 10
	// maxHookConns bounds the connections to a hook; a question that finds none waits for one.
	maxHookConns = 32
)

// hook asks over HTTP.
type hook struct {
	url    string
	meter  Meter
	client *http.Client
}

// hookInput is a question as the hook sees it.
type hookInput struct {
	Client    string   `json:"client"`
	CUID      string   `json:"cuid"`
	CDID      string   `json:"cdid"`
	Domain    string   `json:"domain"`
	Targets   []string `json:"targets"`
	Protocols []string `json:"protocols"`
	Ports     []string `json:"ports"`
	Lifetime  int64    `json:"lifetime"`
	MID       uint32   `json:"mid"`
}

func newHook(cfg HTTPConfig, meter Meter) (*hook, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("reading the hook's URL: %w", err)
	}
	if u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("reading the hook's URL: %q is neither https nor http on this host", u.Redacted())
	}
	secure, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	return &hook{url: cfg.URL, meter: meter, client: &http.Client{
		Timeout: cmp.Or(cfg.Timeout, DefaultHTTPTimeout),
		// Neither the environment nor the answer says whom to ask: no proxy, and a redirect is no decision.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: secure, ForceAttemptHTTP2: true, MaxConnsPerHost: maxHookConns, MaxIdleConnsPerHost: maxHookConns,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: maxHookAnswer,
		},
	}}, nil
}

// loopback reports whether a host is this one.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tls reads the files.
func (c HTTPConfig) tls() (*tls.Config, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the hook's authorities: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading the hook's authorities: no certificate in %s", c.CAFile)
		}
	}
	if c.CertFile != "" || c.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate for the hook: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	return secure, nil
}

// run keeps connections while they are of use.
func (h *hook) run(ctx context.Context) { context.AfterFunc(ctx, h.client.CloseIdleConnections) }

// ask posts {"input": ...}.
func (h *hook) ask(ctx context.Context, r Request) (Decision, error) {
	body, err := json.Marshal(map[string]hookInput{"input": {
		Client: r.Client, CUID: r.CUID, CDID: r.CDID, Domain: r.Domain,
		Targets: list(r.Targets), Protocols: list(r.Protocols), Ports: list(r.Ports), Lifetime: r.Lifetime, MID: r.MID,
	}})
	if err != nil {
		return Decision{}, fmt.Errorf("writing a question to the hook: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return Decision{}, fmt.Errorf("writing a question to the hook: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := h.client.Do(req)
	if err != nil {
		return Decision{}, fmt.Errorf("asking the hook: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as it is of use
	if resp.StatusCode != http.StatusOK {
		h.meter.Dropped(FaultStatus)
		return Decision{}, fmt.Errorf("asking the hook: it answers %d", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxHookAnswer+1))
	if err != nil {
		return Decision{}, fmt.Errorf("reading the hook's answer: %w", err)
	}
	d, err := readHook(answer)
	if err != nil {
		h.meter.Dropped(FaultBody)
		return Decision{}, fmt.Errorf("reading the hook's answer: %w", err)
	}
	return d, nil
}

// list makes an empty list where there is none, so that policies need not tell the two apart.
func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// readHook reads {"result": true} or {"result": {"allow": true, "reason": "..."}}; other keys beside them are ignored, but
// no other spelling is taken. No result at all is what the Open Policy Agent says of a rule that did not come true: not allowed.
func readHook(b []byte) (Decision, error) {
	if len(b) > maxHookAnswer {
		return Decision{}, fmt.Errorf("longer than %d bytes", maxHookAnswer)
	}
	var top map[string]json.RawMessage // a struct would take keys in any case
	if err := json.Unmarshal(b, &top); err != nil || top == nil {
		return Decision{}, errors.Join(errors.New("not an object"), err)
	}
	result, ok := top["result"]
	if !ok || string(result) == "null" {
		return Decision{Reason: "the hook's rule is undefined"}, nil
	}
	var allow bool
	if err := json.Unmarshal(result, &allow); err == nil {
		return Decision{Allow: allow}, nil
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(result, &parts); err != nil {
		return Decision{}, errors.New("result is neither true nor false nor an object")
	}
	if word := string(parts["allow"]); word != "true" && word != "false" {
		return Decision{}, errors.New("result has no allow")
	}
	var reason string
	if raw, ok := parts["reason"]; ok && json.Unmarshal(raw, &reason) != nil {
		reason = "" // a reason of another shape takes nothing from the decision
	}
	return Decision{Allow: string(parts["allow"]) == "true", Reason: tidy(reason)}, nil
}

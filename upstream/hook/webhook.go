package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/upstream"
)

// The headers of a request beside its content.
const (
	// HeaderTimestamp has the seconds since the Unix epoch at which it was sent.
	HeaderTimestamp = "Dotsgate-Timestamp"
	// HeaderSignature has "v1=" and the HMAC-SHA256, in hexadecimal, of the timestamp, a full stop and the body.
	HeaderSignature = "Dotsgate-Signature"
	// HeaderIdempotency has the message's request member: the same for each repetition.
	HeaderIdempotency = "Idempotency-Key"
)

const (
	// placeholder stands for an ID in a status URL.
	placeholder = "{id}"
	attempts    = 3                      // of a message, until the Manager has to repeat it
	firstPause  = 500 * time.Millisecond // between two attempts, doubling
	mostPause   = 10 * time.Second       // that a Retry-After can make of it
	askers      = 8                      // status questions at once
)

// WebhookConfig is what a Mitigator is made of that posts every message to a URL.
type WebhookConfig struct {
	Uplink string // required: its name in the configuration
	// Owner tells this gateway from others whose mitigations the same receiver does, and never changes; may be empty.
	Owner string
	// URL is required: https, or http to a loopback address.
	URL string
	// StatusURL is where a GET tells how a mitigation fares, with {id} in the place of its ID; empty: only the answers to start and change tell it.
	StatusURL string
	// SecretFile has the key of the signatures, at least 16 bytes; white space around it does not count. It is read at every Open. Required.
	SecretFile string
	CAFile     string // who may have signed the receiver's certificate, PEM; empty: the system's
	// CertFile and KeyFile are our certificate for the receiver, PEM; both or none.
	CertFile, KeyFile string
	Timeout           time.Duration // of an attempt; 0: DefaultTimeout
}

// webhook posts messages.
type webhook struct {
	cfg    WebhookConfig
	client *http.Client
	secret []byte
	pause  time.Duration // firstPause, but in tests
	turn   int           // how many have been asked for their status: where the next question begins
}

// NewWebhook makes a Mitigator that posts messages. Files that cannot be read, and URLs that would show messages to others, are errors.
func NewWebhook(cfg WebhookConfig) (*Mitigator, error) {
	w := &webhook{cfg: cfg, pause: firstPause}
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("configuring a webhook: %w", err)
	}
	tlsConfig, err := newTLS(cfg)
	if err != nil {
		return nil, fmt.Errorf("configuring a webhook: %w", err)
	}
	if w.cfg.Timeout == 0 {
		w.cfg.Timeout = DefaultTimeout
	}
	w.client = &http.Client{
		Timeout: w.cfg.Timeout,
		Transport: &http.Transport{
			TLSClientConfig: tlsConfig, MaxConnsPerHost: askers, MaxIdleConnsPerHost: askers, IdleConnTimeout: time.Minute,
			ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		},
		// A redirect would carry a signed message elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return newMitigator(newIdentity(cfg.Owner, cfg.Uplink), w), nil
}

// check reports what is wrong with the configuration but its TLS, and reads the secret.
func (w *webhook) check() error {
	if w.cfg.Uplink == "" || w.cfg.SecretFile == "" {
		return errors.New("the uplink's name and the secret's file are required")
	}
	if w.cfg.Timeout < 0 {
		return errors.New("the timeout is negative")
	}
	if err := checkURL(w.cfg.URL); err != nil {
		return err
	}
	if w.cfg.StatusURL != "" {
		if !strings.Contains(w.cfg.StatusURL, placeholder) {
			return fmt.Errorf("StatusURL lacks %s", placeholder)
		}
		if err := checkURL(strings.ReplaceAll(w.cfg.StatusURL, placeholder, "id")); err != nil {
			return err
		}
	}
	return w.open()
}

// checkURL reports whether a URL may be used: https, or http where nobody else can listen.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return errors.New("a URL is missing, cannot be read, or has a user or a fragment")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%s is neither https, nor http to a loopback address", u.Redacted())
}

// open reads the secret, which may have changed.
func (w *webhook) open() error {
	secret, err := readSecret(w.cfg.SecretFile)
	if err == nil {
		w.secret = secret
	}
	return err
}

// close lets go of connections.
func (w *webhook) close() { w.client.CloseIdleConnections() }

// ask posts a message, a few times if need be.
func (w *webhook) ask(ctx context.Context, m message) (answer, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return answer{}, fmt.Errorf("writing a message: %w", err)
	}
	pause := w.pause
	for n := 1; ; n++ {
		r, err := w.send(ctx, query{http.MethodPost, w.cfg.URL, body, m.Request})
		if err == nil && !r.again() {
			return refusedOr(r.answer(m.Action))
		}
		if err == nil {
			err = fmt.Errorf("posting to the webhook: HTTP status %d", r.status)
		}
		if n == attempts || ctx.Err() != nil {
			return answer{}, err
		}
		if !sleep(ctx, min(max(pause, r.after), mostPause)) {
			return answer{}, err
		}
		pause *= 2
	}
}

// sleep waits; false: ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// query is an HTTP request to be made.
type query struct {
	method string
	url    string
	body   []byte // nil: none
	key    string // of a repetition; empty: none
}

// reply is what an HTTP request brought.
type reply struct {
	status int
	body   []byte
	after  time.Duration // of Retry-After; 0: not told
}

// send makes one HTTP request.
func (w *webhook) send(ctx context.Context, q query) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, q.url, bytes.NewReader(q.body))
	if err != nil {
		return reply{}, fmt.Errorf("making a request: %w", err)
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set(HeaderTimestamp, stamp)
	req.Header.Set(HeaderSignature, sign(w.secret, stamp, q.body))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "dotsgate")
	if q.key != "" {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(HeaderIdempotency, q.key)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("asking the webhook: %w", err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return reply{}, fmt.Errorf("reading the webhook's answer: %w", err)
	}
	r := reply{status: resp.StatusCode, body: got}
	if seconds, err := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31); err == nil {
		r.after = time.Duration(seconds) * time.Second
	}
	return r, nil
}

// sign is the signature of a body sent at a time.
func sign(secret []byte, stamp string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// again reports whether a message may fare better if it is repeated at once.
func (r reply) again() bool { return r.status/100 != 2 && !r.refuses() && !r.missing() }

// refuses reports whether a status says that the mitigation cannot be. That our signature or certificate is not taken is no refusal: the operator
// mends it, and meanwhile it is asked again.
func (r reply) refuses() bool {
	return r.status == http.StatusBadRequest || r.status == http.StatusConflict || r.status == http.StatusUnprocessableEntity
}

// missing reports whether a status says that there is no such thing.
func (r reply) missing() bool {
	return r.status == http.StatusNotFound || r.status == http.StatusGone ||
		r.status == http.StatusMethodNotAllowed || r.status == http.StatusNotImplemented
}

// gone reports whether a status says that a mitigation is not in force.
func (r reply) gone() bool { return r.status == http.StatusNotFound || r.status == http.StatusGone }

// answer reads a reply that is not to be repeated at once.
func (r reply) answer(action string) (answer, error) {
	switch {
	case r.status/100 == 2:
		return parseAnswer(r.body)
	case r.gone() && action == actionStop: // it is as it should be
		return answer{}, nil
	case r.missing() && action != actionList:
		return answer{}, fmt.Errorf("the webhook does not know the action %s: HTTP status %d", action, r.status)
	}
	if a, err := parseAnswer(r.body); err == nil && a.Refused != nil {
		return a, nil
	}
	return answer{Refused: &refusal{Message: http.StatusText(r.status)}}, nil
}

// status asks by GET about each for itself, several at once, beginning where the last question ended.
func (w *webhook) status(ctx context.Context, m *Mitigator, keys []dots.LegKey) ([]upstream.LegReport, error) {
	if w.cfg.StatusURL == "" || len(keys) == 0 {
		return nil, nil
	}
	var (
		mu     sync.Mutex
		next   int
		told   []upstream.LegReport
		failed error
		all    sync.WaitGroup
	)
	begin := w.turn % len(keys)
	for range min(askers, len(keys)) {
		all.Go(func() {
			mu.Lock()
			defer mu.Unlock()
			for next < len(keys) && failed == nil && ctx.Err() == nil {
				k := keys[(begin+next)%len(keys)]
				next++
				mu.Unlock()
				reports, err := w.one(ctx, m, k)
				mu.Lock()
				told = append(told, reports...)
				if err != nil && failed == nil {
					failed = err
				}
			}
		})
	}
	all.Wait()
	w.turn = begin + next
	if failed != nil && len(told) == 0 {
		return nil, failed
	}
	return told, nil
}

// one asks about one leg. What the receiver does not know is not in force.
func (w *webhook) one(ctx context.Context, m *Mitigator, k dots.LegKey) ([]upstream.LegReport, error) {
	r, err := w.send(ctx, query{method: http.MethodGet, url: strings.ReplaceAll(w.cfg.StatusURL, placeholder, m.id(k))})
	switch {
	case err != nil:
		return nil, err
	case r.gone():
		return []upstream.LegReport{{Key: k, Report: dots.Report{Status: dots.StatusTerminated}}}, nil
	case r.status/100 != 2:
		return nil, fmt.Errorf("asking for a status: HTTP status %d", r.status)
	}
	a, err := parseAnswer(r.body)
	if err != nil {
		return nil, err
	}
	return m.reports(a, []dots.LegKey{k}), nil
}

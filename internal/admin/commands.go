package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Commands do what an operator orders. Their methods are called from several goroutines and may wait until ctx ends. The text of an error is
// told to the operator as it is.
type Commands interface {
	// Reload reads the configuration again. Its error may be Mistakes.
	Reload(ctx context.Context) error
	// Drain empties an uplink, or uses it again.
	Drain(ctx context.Context, uplink string, on bool) error
	// Recurse hands a mitigation on from the local mitigators to an uplink, or back.
	Recurse(ctx context.Context, r Recursion) error
	// Redirect sends clients to another server, or takes that back.
	Redirect(ctx context.Context, r Redirection) error
	// Upgrade hands over to a new process of the program, and ends this one. Its error may be Mistakes: then nothing has changed.
	Upgrade(ctx context.Context, u Upgrade) error
	// Explain tells what would become of a request, and why, without doing anything.
	Explain(ctx context.Context, q Question) (Explanation, error)
}

// Mistakes are what is wrong with a configuration, a line each.
type Mistakes []string

// Error returns the lines.
func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// Recursion names a mitigation that is to go on to an uplink.
type Recursion struct {
	Client string `json:"client"`
	CUID   string `json:"cuid,omitempty"` // empty, as cdid: there is just one mitigation of the client with this mid
	CDID   string `json:"cdid,omitempty"`
	MID    uint32 `json:"mid"`
	Uplink string `json:"uplink,omitempty"` // an uplink or farm; empty: those of its domain
	Off    bool   `json:"off,omitempty"`    // the domain's rules decide again
}

// Redirection says which clients are to go to another server.
type Redirection struct {
	Name      string   `json:"name,omitempty"` // a client entry or a domain; empty, with All: everybody
	All       bool     `json:"all,omitempty"`
	Server    string   `json:"server,omitempty"` // the name that its certificate has
	Addresses []string `json:"addresses,omitempty"`
	TTL       uint32   `json:"ttl"`           // seconds for which they are to keep to it
	Off       bool     `json:"off,omitempty"` // they are served here again
}

// Upgrade says what takes over.
type Upgrade struct {
	Binary string `json:"binary,omitempty"` // the program's file; empty: the one that the gateway was started from
}

// upgradeWithin is how long an upgrade may take.
const upgradeWithin = 2 * time.Minute

// Question is a request that nobody makes.
type Question struct {
	Client       string   `json:"client"`
	CUID         string   `json:"cuid,omitempty"` // empty: that of the client's own credential
	MID          uint32   `json:"mid,omitempty"`  // 0: a new one
	Prefixes     []string `json:"prefixes,omitempty"`
	FQDNs        []string `json:"fqdns,omitempty"`
	URIs         []string `json:"uris,omitempty"`
	Aliases      []string `json:"aliases,omitempty"`
	Ports        []string `json:"ports,omitempty"` // such as 443 and 8000-8080
	Protocols    []int    `json:"protocols,omitempty"`
	Lifetime     int64    `json:"lifetime"` // seconds; -1: indefinite
	OnSignalLoss bool     `json:"on_signal_loss,omitempty"`
}

// Explanation is what would become of a Question.
type Explanation struct {
	Allowed bool   `json:"allowed"`
	Code    string `json:"code"`           // what the client would be answered, such as 2.01
	Text    string `json:"text,omitempty"` // of a refusal
	Steps   []Step `json:"steps"`
}

// Step is one rule that was asked.
type Step struct {
	Rule    string `json:"rule"`
	Subject string `json:"subject,omitempty"`
	Result  string `json:"result"`
	Detail  string `json:"detail,omitempty"`
}

// maxOrder bounds what an order may say, in bytes.
const maxOrder = 1 << 20

// orders are the paths of the commands.
func orders(mux *http.ServeMux, do Commands) {
	mux.HandleFunc("POST /v1/reload", order(func(ctx context.Context, _ struct{}) (any, error) { return nil, do.Reload(ctx) }))
	mux.HandleFunc("POST /v1/drain", order(func(ctx context.Context, d draining) (any, error) { return nil, do.Drain(ctx, d.Uplink, d.On) }))
	mux.HandleFunc("POST /v1/recurse", order(func(ctx context.Context, r Recursion) (any, error) { return nil, do.Recurse(ctx, r) }))
	mux.HandleFunc("POST /v1/redirect", order(func(ctx context.Context, r Redirection) (any, error) { return nil, do.Redirect(ctx, r) }))
	mux.HandleFunc("POST /v1/upgrade", slow(order(func(ctx context.Context, u Upgrade) (any, error) { return nil, do.Upgrade(ctx, u) })))
	mux.HandleFunc("POST /v1/explain", order(func(ctx context.Context, q Question) (any, error) { return do.Explain(ctx, q) }))
}

// slow gives an order the time of an upgrade.
func slow(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(upgradeWithin)) // else it has the usual time
		h(w, r)
	}
}

// draining is the order to empty an uplink, or to use it again.
type draining struct {
	Uplink string `json:"uplink"`
	On     bool   `json:"on"`
}

// order reads what is ordered, does it, and answers with what came of it.
func order[T any](do func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var what T
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		d.DisallowUnknownFields()
		if err := d.Decode(&what); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer, err := do(r.Context(), what)
		var mistakes Mistakes
		switch {
		case errors.As(err, &mistakes):
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, err.Error(), http.StatusConflict)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer) // an error here is the reader's going away
		}
	}
}

// Reload has the gateway read its configuration again. Its error may be Mistakes.
func (c *Client) Reload(ctx context.Context) error {
	return c.order(ctx, "/v1/reload", struct{}{}, nil)
}

// Drain has an uplink emptied, or used again.
func (c *Client) Drain(ctx context.Context, uplink string, on bool) error {
	return c.order(ctx, "/v1/drain", draining{uplink, on}, nil)
}

// Recurse has a mitigation handed on to an uplink.
func (c *Client) Recurse(ctx context.Context, r Recursion) error {
	return c.order(ctx, "/v1/recurse", r, nil)
}

// Redirect has clients sent to another server, or served here again.
func (c *Client) Redirect(ctx context.Context, r Redirection) error {
	return c.order(ctx, "/v1/redirect", r, nil)
}

// Explain asks what would become of a request.
func (c *Client) Explain(ctx context.Context, q Question) (Explanation, error) {
	var e Explanation
	err := c.order(ctx, "/v1/explain", q, &e)
	return e, err
}

// Upgrade has the gateway hand over to a new process. Its error may be Mistakes.
func (c *Client) Upgrade(ctx context.Context, u Upgrade) error {
	patient := *c
	patient.http.Timeout = upgradeWithin
	return patient.order(ctx, "/v1/upgrade", u, nil)
}

// order sends an order and reads the answer into a pointer; nil: none is wanted.
func (c *Client) order(ctx context.Context, path string, what, answer any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dotsgate"+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	return c.do(r, answer)
}

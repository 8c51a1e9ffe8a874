package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds what the client reads, in bytes.
const maxAnswer = 256 << 20

// Client asks a running gateway over its socket.
type Client struct{ http http.Client }

// NewClient makes a client of the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Timeout: writeTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Mitigations lists the gateway's mitigations.
func (c *Client) Mitigations(ctx context.Context, f Filter) ([]Mitigation, error) {
	return get[Mitigation](ctx, c, "/v1/mitigations", f)
}

// Sessions lists the clients' sessions.
func (c *Client) Sessions(ctx context.Context, f Filter) ([]Session, error) {
	return get[Session](ctx, c, "/v1/sessions", f)
}

// Uplinks lists the upstream servers.
func (c *Client) Uplinks(ctx context.Context, f Filter) ([]Uplink, error) {
	return get[Uplink](ctx, c, "/v1/uplinks", f)
}

func get[T any](ctx context.Context, c *Client, path string, f Filter) ([]T, error) {
	at := url.URL{Scheme: "http", Host: "dotsgate", Path: path, RawQuery: f.query().Encode()}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway (is it running, and may you use its socket?): %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	body := io.LimitReader(answer.Body, maxAnswer)
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(body, 512)) // what cannot be read is not shown
		return nil, fmt.Errorf("the gateway answered %s: %s", answer.Status, Printable(strings.TrimSpace(string(text))))
	}
	var items []T
	if err := json.NewDecoder(body).Decode(&items); err != nil {
		return nil, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return items, nil
}

// age is a short time span for people, such as 3m20s.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return now.Sub(since).Round(time.Second).String()
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
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
	var items []T
	err = c.do(r, &items)
	return items, err
}

// do asks the gateway and reads its answer into a pointer; nil: none is wanted.
func (c *Client) do(r *http.Request, into any) error {
	answer, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("asking the gateway (is it running, and may you use its socket?): %w", err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	text := io.LimitReader(answer.Body, maxAnswer)
	if answer.StatusCode != http.StatusOK {
		return refusal(answer.Status, answer.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(text).Decode(into); err != nil {
		return fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return nil
}

// refusal is what the gateway says instead of an answer.
func refusal(status string, code int, body io.Reader) error {
	const most = 64 << 10
	text, _ := io.ReadAll(io.LimitReader(body, most)) // what cannot be read is not shown
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i := range lines {
		lines[i] = Printable(lines[i])
	}
	switch code {
	case http.StatusUnprocessableEntity:
		return Mistakes(lines)
	case http.StatusConflict:
		return errors.New(strings.Join(lines, " "))
	}
	return fmt.Errorf("the gateway answered %s: %s", status, strings.Join(lines, " "))
}

// age is a short time span for people, such as 3m20s.
func age(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return now.Sub(since).Round(time.Second).String()
}

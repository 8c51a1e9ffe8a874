package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// obedient does what it is told, and keeps it.
type obedient struct {
	err error

	mu   sync.Mutex
	done []string
}

func (o *obedient) do(format string, args ...any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = append(o.done, fmt.Sprintf(format, args...))
	return o.err
}

func (o *obedient) Reload(context.Context) error { return o.do("reload") }
func (o *obedient) Drain(_ context.Context, uplink string, on bool) error {
	return o.do("drain %s %v", uplink, on)
}

func (o *obedient) Redirect(_ context.Context, r Redirection) error {
	return o.do("redirect %+v", r)
}

func (o *obedient) Recurse(_ context.Context, r Recursion) error { return o.do("recurse %+v", r) }
func (o *obedient) Upgrade(_ context.Context, u Upgrade) error   { return o.do("upgrade %q", u.Binary) }

func (o *obedient) Explain(_ context.Context, q Question) (Explanation, error) {
	return Explanation{Allowed: true, Code: "2.01", Steps: []Step{{Rule: "client", Subject: q.Client, Result: "known"}}}, o.do("explain %+v", q)
}

// obey runs a server that does what it is told.
func obey(t *testing.T, o *obedient) *Client {
	t.Helper()
	path := filepath.Join(folder(t), "admin.sock")
	s, err := Listen(path, fake{}, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running: %v", err)
		}
	})
	return NewClient(path)
}

// TestOrders holds that an order arrives as it was given, and that its outcome comes back.
func TestOrders(t *testing.T) {
	o := &obedient{}
	c := obey(t, o)
	question := Question{Client: "a&b", Prefixes: []string{"192.0.2.1/32"}, Ports: []string{"80"}, Protocols: []int{6}, Lifetime: -1}
	explained, err := c.Explain(t.Context(), question)
	want := Explanation{Allowed: true, Code: "2.01", Steps: []Step{{Rule: "client", Subject: "a&b", Result: "known"}}}
	if diff := cmp.Diff(want, explained); diff != "" || err != nil {
		t.Errorf("explained: %v (-want +got):\n%s", err, diff)
	}
	for _, err := range []error{
		c.Reload(t.Context()), c.Drain(t.Context(), "one/a", true), c.Drain(t.Context(), "two", false),
		c.Recurse(t.Context(), Recursion{Client: "a", CUID: "x", MID: 7, Uplink: "one"}), c.Upgrade(t.Context(), Upgrade{Binary: "/x"}),
		c.Redirect(t.Context(), Redirection{Name: "a", Server: "b.example", Addresses: []string{"192.0.2.1"}, TTL: 4294967294}),
		c.Redirect(t.Context(), Redirection{All: true, Off: true}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	done := []string{
		fmt.Sprintf("explain %+v", question), "reload", "drain one/a true", "drain two false", "recurse {Client:a CUID:x CDID: MID:7 Uplink:one Off:false}",
		`upgrade "/x"`, "redirect {Name:a All:false Server:b.example Addresses:[192.0.2.1] TTL:4294967294 Off:false}",
		"redirect {Name: All:true Server: Addresses:[] TTL:0 Off:true}",
	}
	if diff := cmp.Diff(done, o.done); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
}

// TestOrdersRefused holds that an operator is told why, in the gateway's words, and mistakes of the file line by line.
func TestOrdersRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		err, want error
	}{
		"one reason":   {errors.New("no uplink \"x\""), errors.New(`no uplink "x"`)},
		"a wrong file": {Mistakes{"f:1:2: a", "f:3:4: b\x1b"}, Mistakes{"f:1:2: a", `f:3:4: b\x1b`}},
		"wrapped":      {fmt.Errorf("reloading: %w", Mistakes{"f:1:2: a"}), Mistakes{"reloading: f:1:2: a"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := obey(t, &obedient{err: tt.err})
			_, explain := c.Explain(t.Context(), Question{})
			for _, err := range []error{c.Reload(t.Context()), c.Drain(t.Context(), "x", true), c.Recurse(t.Context(), Recursion{}), c.Upgrade(t.Context(), Upgrade{}), c.Redirect(t.Context(), Redirection{}), explain} {
				var got, want Mistakes
				if err == nil || err.Error() != tt.want.Error() || errors.As(err, &got) != errors.As(tt.want, &want) {
					t.Errorf("told %T %v, want %T %v", err, err, tt.want, tt.want)
				}
			}
		})
	}
}

// TestBadOrders holds that nothing is done by what cannot be read.
func TestBadOrders(t *testing.T) {
	o := &obedient{}
	for name, tt := range map[string]struct {
		method, path, body string
		want               int
	}{
		"looking is no order": {http.MethodGet, "/v1/drain", `{"uplink":"x","on":true}`, 405},
		"no words":            {http.MethodPost, "/v1/drain", "", 400},
		"an unknown word":     {http.MethodPost, "/v1/drain", `{"uplnik":"x"}`, 400},
		"too many words":      {http.MethodPost, "/v1/recurse", `{"client":"` + strings.Repeat("x", maxOrder) + `"}`, 400},
		"a number too large":  {http.MethodPost, "/v1/recurse", `{"mid":4294967296}`, 400},
	} {
		w := httptest.NewRecorder()
		routes(fake{}, o).ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
		if w.Code != tt.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.want)
		}
	}
	if len(o.done) != 0 {
		t.Errorf("done all the same: %v", o.done)
	}
}

// TestPass holds that a listener goes on in another server on the same path, which removes the socket at its end, and only there.
func TestPass(t *testing.T) {
	path := filepath.Join(folder(t), "admin.sock")
	o := &obedient{}
	first, err := Listen(path, fake{}, o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := first.Pass()
	if err != nil {
		t.Fatal(err)
	}
	second, err := Take(f, fake{}, o)
	_ = f.Close() // the server has a duplicate
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Run(ended); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx) }()
	if err := NewClient(path).Reload(t.Context()); err != nil {
		t.Errorf("asking the second: %v", err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	bad, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bad.Close() }() // only tried
	if _, err := Take(bad, fake{}, o); err == nil {
		t.Error("a file is taken for a socket")
	}
}

// TestLastAnswer holds that an order under way at the end is answered: an upgrade's is.
func TestLastAnswer(t *testing.T) {
	path := filepath.Join(folder(t), "admin.sock")
	ctx, stop := context.WithCancel(t.Context())
	s, err := Listen(path, fake{}, ender{&obedient{}, stop})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if err := NewClient(path).Upgrade(t.Context(), Upgrade{}); err != nil {
		t.Errorf("the last order: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// ender ends the server that gives it an order.
type ender struct {
	*obedient
	end func()
}

func (e ender) Upgrade(context.Context, Upgrade) error {
	e.end()
	return nil
}

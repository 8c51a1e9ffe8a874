package coap

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/testpki"
)

// shelf is a resource tree: what is PUT at a path is what a GET of it gives, and observers of the path are told.
type shelf struct {
	mu        sync.Mutex
	bodies    map[string][]byte
	observers map[string][]*Observer
}

func newShelf() *shelf {
	return &shelf{bodies: make(map[string][]byte), observers: make(map[string][]*Observer)}
}

func (s *shelf) ServeCoAP(ex *Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req := ex.Request()
	path := string(bytes.Join(req.Options.All(UriPath), []byte("/")))
	body, known := s.bodies[path]
	switch {
	case req.Code == PUT:
		s.bodies[path] = slices.Clone(req.Payload)
		for _, o := range s.observers[path] {
			o.Notify(content(s.bodies[path]))
		}
		code := Created
		if known {
			code = Changed
		}
		ex.Respond(&Message{Code: code})
	case req.Code == GET && known:
		if v, ok := req.Options.Uint(Observe); ok && v == 0 {
			if o := ex.Observe(content(body), nil); o != nil {
				s.observers[path] = append(s.observers[path], o)
			}
			return
		}
		ex.Respond(content(body))
	default:
		ex.Respond(&Message{Code: NotFound})
	}
}

func content(body []byte) *Message {
	m := &Message{Code: Content, Payload: slices.Clone(body)}
	m.Options.AddUint(ContentFormat, 271)
	return m
}

func requestTo(code Code, payload []byte, path ...string) *Message {
	m := &Message{Code: code, Payload: payload}
	m.Options.SetPath(path...)
	return m
}

// do does a request and wants the code.
func do(t *testing.T, s *Session, req *Message, want Code) *Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := s.Do(ctx, req)
	if err != nil {
		t.Fatalf("%v %q: %v", req.Code, req.Options.Path(), err)
	}
	if resp.Code != want {
		t.Fatalf("%v %q = %v, want %v", req.Code, req.Options.Path(), resp.Code, want)
	}
	return resp
}

// TestSessionsOverTransports lets sessions talk over the real stacks: requests, observation, block-wise transfer,
// requests of the server's, and pings.
func TestSessionsOverTransports(t *testing.T) {
	ca := testpki.New(t, "root")
	keys := map[string]string{"client1": "secret one"}
	stacks := []struct {
		name, network  string
		server, client *Credentials
	}{
		{"DTLS", NetworkUDP, credentialsOf(t, ca, ca.Server()), credentialsOf(t, ca, ca.Client("a.example"))},
		{"DTLS with a key", NetworkUDP, keysOnly(t, "", keys), keysOnly(t, "client1", keys)},
		{"TLS", NetworkTCP, credentialsOf(t, ca, ca.Server()), credentialsOf(t, ca, ca.Client("a.example"))},
	}
	for _, stack := range stacks {
		t.Run(stack.name, func(t *testing.T) {
			limits := Limits{NotifyInterval: -1}
			l := serve(t, ServerConfig{
				Network: stack.network, Credentials: stack.server, Session: SessionConfig{Handler: newShelf(), Limits: limits},
			})
			client := mustDial(t, DialConfig{
				Network: stack.network, Address: l.Addr().String(), Credentials: stack.client,
				Session: SessionConfig{Handler: newShelf(), Limits: limits},
			})
			converse(t, client, l.session(t))
		})
	}
}

func converse(t *testing.T, client, server *Session) {
	small, big := []byte("small"), bytes.Repeat([]byte("0123456789"), 300)
	do(t, client, requestTo(GET, nil, "a"), NotFound)
	do(t, client, requestTo(PUT, small, "a"), Created)
	non := requestTo(GET, nil, "a")
	non.NonConfirmable = true
	if got := do(t, client, non, Content); !bytes.Equal(got.Payload, small) {
		t.Errorf("GET = %q", got.Payload)
	}

	do(t, client, requestTo(PUT, big, "big"), Created)
	if got := do(t, client, requestTo(GET, nil, "big"), Content); !bytes.Equal(got.Payload, big) {
		t.Errorf("GET of %d bytes gave %d", len(big), len(got.Payload))
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	seen := make(chan string, 8)
	observation, err := client.Observe(ctx, requestTo(GET, nil, "a"), func(m *Message) { seen <- string(m.Payload) })
	if err != nil {
		t.Fatalf("Observe() = %v", err)
	}
	next := func(want string) {
		t.Helper()
		select {
		case got := <-seen:
			if got != want {
				t.Errorf("observed %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("%q is not observed", want)
		}
	}
	next("small")
	do(t, client, requestTo(PUT, []byte("changed"), "a"), Changed)
	next("changed")
	if err := observation.Cancel(ctx); err != nil {
		t.Errorf("Cancel() = %v", err)
	}

	do(t, server, requestTo(PUT, []byte{1}, ".well-known", "dots", "hb"), Created)
	do(t, client, requestTo(PUT, small, "a"), Changed)
	for _, s := range []*Session{client, server} {
		if err := s.Ping(ctx); err != nil {
			t.Errorf("Ping() = %v", err)
		}
		if err := s.Err(); err != nil {
			t.Errorf("Err() = %v", err)
		}
	}
}

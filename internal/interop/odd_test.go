//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
)

// oddServer is an upstream server that answers PUTs and DELETEs of mitigations as it is told, one after the other.
type oddServer struct {
	mu     sync.Mutex
	puts   []*coap.Message
	dels   []*coap.Message
	seen   []coap.Code   // methods of the PUTs and DELETEs
	answer chan struct{} // room for all of them: a handler must not block
}

// ServeCoAP answers the next in the row, and 4.04 to a GET.
func (o *oddServer) ServeCoAP(ex *coap.Exchange) {
	m := ex.Request()
	if slices.Contains(m.Options.Path(), "hb") {
		ex.Respond(&coap.Message{Code: coap.Changed})
		return
	}
	if m.Code == coap.GET {
		ex.Respond(&coap.Message{Code: coap.NotFound, Payload: []byte("nothing")})
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	row := &o.puts
	if m.Code == coap.DELETE {
		row = &o.dels
	}
	o.seen = append(o.seen, m.Code)
	if len(*row) == 0 {
		ex.Silence()
		return
	}
	ex.Respond((*row)[0])
	*row = (*row)[1:]
	o.answer <- struct{}{}
}

// methods returns what was asked for so far.
func (o *oddServer) methods() []coap.Code {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// run serves until the end of the test.
func (o *oddServer) run(r *rig) string {
	cred, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: r.file("upstream.pem"), KeyFile: r.file("upstream.key"), CAFile: r.file("ca.pem"),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := coap.Listen(coap.ServerConfig{
		Network: coap.NetworkUDP, Address: "127.0.0.1:0", Credentials: cred, Session: coap.SessionConfig{Handler: o},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) }) // what it cannot do shows in the test
	r.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s.Addr().String()
}

// answered waits until the server has given so many answers.
func (o *oddServer) answered(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-o.answer:
		case <-time.After(patience):
			t.Fatalf("the server was not asked again; it saw %v", o.methods())
		}
	}
}

// legs returns the states of the legs, as the operator's command shows them.
func (r *rig) legs() []string {
	r.t.Helper()
	out, err := exec.Command(program, "mitigations", "-o", "json", "--socket", r.dir+"/admin.sock").Output()
	if err != nil {
		r.t.Fatal(err)
	}
	var list []struct {
		Legs []struct{ State string }
	}
	if err := json.Unmarshal(out, &list); err != nil {
		r.t.Fatalf("reading the mitigations %s: %v", out, err)
	}
	var states []string
	for _, m := range list {
		for _, l := range m.Legs {
			states = append(states, l.State)
		}
	}
	return states
}

// Answers that are none of DOTS are not taken for success: it is asked again until there is one. Some servers answer PUT and
// DELETE with 2.05 and do not execute them. RFC 9132, Section 4.4.1.3 and Section 4.4.4.
func TestInteropOddAnswers(t *testing.T) {
	t.Parallel()
	requireProgram(t, "coap-client-openssl", "libcoap3-bin")
	// What a server says that takes the PUT for a GET, looks like a grant.
	got := &coap.Message{Code: coap.Content, Payload: scoped(t, map[int]any{keyMID: 1, keyLifetime: 3600})}
	got.Options.AddUint(coap.ContentFormat, 271)
	o := &oddServer{
		answer: make(chan struct{}, 16),
		puts: []*coap.Message{
			got, {Code: coap.Changed, Payload: []byte{0xa1, 0x01}}, {Code: coap.Created},
		},
		dels: []*coap.Message{{Code: coap.Content}, {Code: coap.Deleted}},
	}
	r := newRig(t, setup{upstream: o.run})
	c := &client{r: r, program: "coap-client-openssl", scheme: "coaps", cert: "client1"}
	body := c.withBody(asking(t, "192.0.2.1/32"))
	p := c.start(c.credentials(), "mitigate/cuid="+cuid+"/mid=1", body...)
	o.answered(t, 1)
	// The client is told 2.01 when the time to answer is over: its request is kept, and goes on being asked for.
	final(parse(p.wait())).expect(t, "PUT", "2.01")
	if states := r.legs(); !slices.Equal(states, []string{"placing"}) {
		t.Errorf("after a 2.05 to a PUT the legs are %v; want one that is being placed", states)
	}
	o.answered(t, 2)
	if m := c.get(1); m.status() != 1 {
		t.Errorf("GET: %v; want status 1", m)
	}
	if states := r.legs(); !slices.Equal(states, []string{"placed"}) {
		t.Errorf("after a 2.01 the legs are %v; want one that is placed", states)
	}
	c.ask("mitigate/cuid="+cuid+"/mid=1", "-m", "delete").expect(t, "DELETE", "2.02")
	o.answered(t, 2)
	if want := []coap.Code{coap.PUT, coap.PUT, coap.PUT, coap.DELETE, coap.DELETE}; !slices.Equal(o.methods(), want) {
		t.Errorf("the server saw %v; want %v", o.methods(), want)
	}
}

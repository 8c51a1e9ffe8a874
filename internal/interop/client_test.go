//go:build interop

package interop

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// What clients prove themselves with, where it is no certificate.
const (
	pskIdentity = "client1-key"
	pskKey      = "sixteen bytes or more"
)

// cuid is what the clients call themselves. Upstream must never see it.
const cuid = "dz6pHjaADkaFTbjr0JGBpw"

// client is one of libcoap's clients over one transport.
type client struct {
	r       *rig
	program string
	scheme  string // coaps or coaps+tcp
	cert    string // name of its certificate
	count   atomic.Int32
}

// requireProgram skips the test where a foreign program is missing.
func requireProgram(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is missing, so nothing is tested against it: on Debian, \"apt-get install %s\" brings it", program, pkg)
	}
}

// eachClient runs a test with each client over each transport, each against a gateway of its own.
func eachClient(t *testing.T, s setup, test func(t *testing.T, c *client)) {
	for _, program := range []string{"coap-client-openssl", "coap-client-gnutls"} {
		for _, scheme := range []string{"coaps", "coaps+tcp"} {
			t.Run(program+"/"+scheme, func(t *testing.T) {
				requireProgram(t, program, "libcoap3-bin")
				t.Parallel()
				test(t, &client{r: newRig(t, s), program: program, scheme: scheme, cert: "client1"})
			})
		}
	}
}

// overTCP reports whether the transport is TLS.
func (c *client) overTCP() bool { return c.scheme == "coaps+tcp" }

// credentials are the arguments that name a certificate.
func (c *client) credentials() []string {
	return []string{"-c", c.r.file(c.cert + ".pem"), "-j", c.r.file(c.cert + ".key"), "-C", c.r.file("ca.pem")}
}

// start starts the client. It says each message it sends and gets.
func (c *client) start(credentials []string, path string, args ...string) *process {
	c.r.t.Helper()
	uri := fmt.Sprintf("%s://127.0.0.1:%d/.well-known/dots/%s", c.scheme, c.r.port, path)
	// What is received goes to a file: among the messages it would make them unreadable.
	all := append([]string{"-v", "7", "-B", "20", "-o", c.out()}, credentials...)
	all = append(append(all, args...), uri)
	return spawn(c.r.t, c.program, all...)
}

func (c *client) out() string {
	return filepath.Join(c.r.dir, fmt.Sprintf("out%d", c.count.Load()))
}

// run runs the client to its end and returns the messages it has sent and received.
func (c *client) run(path string, args ...string) []message {
	c.r.t.Helper()
	c.count.Add(1)
	return parse(c.start(c.credentials(), path, args...).wait())
}

// ask runs the client to its end and returns the final answer.
func (c *client) ask(path string, args ...string) message {
	c.r.t.Helper()
	return final(c.run(path, args...))
}

// put asks for a mitigation with a body, and returns the answer.
func (c *client) put(mid int, body []byte, args ...string) message {
	c.r.t.Helper()
	return c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=%d", cuid, mid), c.withBody(body, args...)...)
}

// withBody adds the arguments that make a PUT of a body in the format of DOTS (RFC 9132, Section 10.3).
func (c *client) withBody(body []byte, args ...string) []string {
	c.r.t.Helper()
	file := filepath.Join(c.r.dir, fmt.Sprintf("body%d", c.count.Add(1)))
	if err := os.WriteFile(file, body, 0o600); err != nil {
		c.r.t.Fatal(err)
	}
	return append([]string{"-m", "put", "-t", "271", "-f", file}, args...)
}

// get asks for the state of a mitigation.
func (c *client) get(mid int, args ...string) message {
	c.r.t.Helper()
	return c.ask(fmt.Sprintf("mitigate/cuid=%s/mid=%d", cuid, mid), args...)
}

// observer starts an observation of one mitigation that lasts until the end of the test.
func (c *client) observer(mid int, args ...string) *process {
	c.r.t.Helper()
	c.count.Add(1)
	p := c.start(c.credentials(), fmt.Sprintf("mitigate/cuid=%s/mid=%d", cuid, mid), append([]string{"-s", "60", "-B", "90"}, args...)...)
	c.r.await(p, "the first answer", once(func(m message) bool { return m.code == "2.05" }))
	return p
}

// message is a CoAP message as libcoap prints it.
type message struct {
	kind    string // CON, NON, ACK, RST
	code    string // 2.05, GET, ...
	options string
	text    string // a payload that is text
	payload []byte // a payload that is not
}

func (m message) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s [%s] %s%x", m.kind, m.code, m.options, m.text, m.payload))
}

// isAnswer reports whether it is a response, and the last of a transfer in blocks (RFC 7959, Section 2.9.1).
func (m message) isAnswer() bool {
	return len(m.code) == 4 && m.code[1] == '.' && m.code[0] >= '2' && m.code[0] <= '5' && m.code != "2.31"
}

var printed = regexp.MustCompile(`v:1 t:(\w+) c:([\w.]+) i:\w+ \{\w*\} \[ ?(.*?) ?\](?: :: (.*))?$`)

// parse finds the messages in what libcoap prints.
func parse(lines []string) []message {
	var list []message
	for i, line := range lines {
		part := printed.FindStringSubmatch(line)
		if part == nil {
			continue
		}
		m := message{kind: part[1], code: part[2], options: part[3]}
		switch {
		case strings.HasPrefix(part[4], "'"):
			m.text = strings.Trim(part[4], "'")
		case strings.HasPrefix(part[4], "binary") && i+1 < len(lines):
			m.payload, _ = hex.DecodeString(strings.Trim(lines[i+1], "<>"))
		}
		list = append(list, m)
	}
	return list
}

// final returns the answer that ends an exchange; a zero message when there was none.
func final(list []message) message {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].isAnswer() {
			return list[i]
		}
	}
	return message{}
}

// times accepts the n-th of the messages that want accepts. It is made anew for each await.
func times(n int, want func(message) bool) func([]message) (message, bool) {
	return func(list []message) (message, bool) {
		seen := 0
		for _, m := range list {
			if want(m) {
				seen++
			}
			if seen == n {
				return m, true
			}
		}
		return message{}, false
	}
}

// once accepts the first of the messages that want accepts.
func once(want func(message) bool) func([]message) (message, bool) { return times(1, want) }

// await waits for a message among those that a client prints.
func (r *rig) await(p *process, what string, find func([]message) (message, bool)) message {
	r.t.Helper()
	var m message
	lines, err := p.until(func(lines []string) (ok bool) {
		m, ok = find(parse(lines))
		return ok
	})
	switch {
	case errors.Is(err, errOver):
		r.t.Fatalf("%s ended without %s", p.name, what)
	case err != nil:
		r.t.Fatalf("%s never saw %s; it saw %v", p.name, what, parse(lines))
	}
	return m
}

// expect checks the code of an answer.
func (m message) expect(t *testing.T, what, code string) message {
	t.Helper()
	if m.code != code {
		t.Errorf("%s: %v; want %s", what, m, code)
	}
	return m
}

//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// lossy returns the rig as it is reached over dotslab's bad path: at another port.
func (r *rig) lossy(t *testing.T, args ...string) *rig {
	t.Helper()
	link := spawn(t, "../../build/dotslab", append([]string{"link", "--to", fmt.Sprintf("127.0.0.1:%d", r.port)}, args...)...)
	_, rest, _ := strings.Cut(link.waitFor("listening on"), "listening on ")
	address, _, _ := strings.Cut(rest, ",")
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatalf("the link says %q: %s", rest, link.text())
	}
	return &rig{t: t, dir: t.TempDir(), pki: r.pki, gateway: r.gateway, server: r.server, uplink: r.uplink, port: int(at.Port())}
}

// TestInteropLink: others' clients get through the lab's bad path, where everything takes its time, comes twice, and not in order.
func TestInteropLink(t *testing.T) {
	r := newRig(t, setup{})
	for _, program := range []string{"coap-client-openssl", "coap-client-gnutls"} {
		for _, scheme := range []string{"coaps", "coaps+tcp"} {
			t.Run(program+"/"+scheme, func(t *testing.T) {
				requireProgram(t, program, "libcoap3-bin")
				t.Parallel()
				bad := r.lossy(t, "--delay", "20ms", "--jitter", "10ms", "--duplicate", "1", "--reorder", "0.2", "--hold", "5ms")
				c := &client{r: bad, program: program, scheme: scheme, cert: "client1"}
				if m := c.get(1); m.code != "4.04" {
					t.Errorf("the answer is %v, want 4.04", m)
				}
			})
		}
	}
}

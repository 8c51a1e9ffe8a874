//go:build interop

package interop

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shake makes a handshake with OpenSSL's client and returns what it says. A DTLS client that is refused without a word tries
// for a minute: it is not waited for so long.
func (r *rig) shake(args ...string) string {
	r.t.Helper()
	all := append([]string{
		"s_client", "-connect", "127.0.0.1:" + strconv.Itoa(r.port),
		"-cert", r.file("client1.pem"), "-key", r.file("client1.key"), "-CAfile", r.file("ca.pem"), "-verify_return_error",
	}, args...)
	p := spawn(r.t, "openssl", all...)
	select {
	case <-p.over:
	case <-time.After(10 * time.Second):
		p.kill()
	}
	return p.text()
}

// anything lets OpenSSL offer what it would not by itself, so that it is the gateway that refuses.
const anything = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"

// Versions and application protocols over TLS and DTLS. RFC 9132, Section 7.1; RFC 8323, Section 8.2.
func TestInteropTLS(t *testing.T) {
	requireProgram(t, "openssl", "openssl")
	t.Parallel()
	r := newRig(t, setup{})
	tests := []struct {
		name string
		args []string
		want []string // all of these
	}{
		{"TLS 1.0", []string{"-tls1", "-cipher", anything}, []string{"alert protocol version"}},
		{"TLS 1.1", []string{"-tls1_1", "-cipher", anything}, []string{"alert protocol version"}},
		{"TLS 1.2", []string{"-tls1_2"}, []string{"New, TLSv1.2", "Verify return code: 0", "Extended master secret: yes"}},
		{"TLS 1.3", []string{"-tls1_3"}, []string{"New, TLSv1.3", "Verification: OK"}},
		{"TLS 1.3 with TLS 1.2 suites only", []string{"-tls1_3", "-cipher", "AES128-SHA"}, []string{"New, TLSv1.3"}},
		{"ALPN coap", []string{"-alpn", "coap"}, []string{"ALPN protocol: coap"}},
		{"ALPN coap among others", []string{"-alpn", "h2,coap"}, []string{"ALPN protocol: coap"}},
		{"no ALPN", nil, []string{"No ALPN negotiated", "New, TLSv1.3"}},
		{"ALPN of something else", []string{"-alpn", "h2"}, []string{"alert no application protocol"}},
		{"DTLS 1.2", []string{"-dtls1_2"}, []string{"New, TLSv1.2", "Verify return code: 0", "Extended master secret: yes"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if said := r.shake(test.args...); !containsAll(said, test.want) {
				t.Errorf("it said %s; want %q", said, test.want)
			}
		})
	}
	t.Run("DTLS 1.0", func(t *testing.T) {
		if said := r.shake("-dtls1", "-cipher", anything); established(said) {
			t.Errorf("it said %s; want no session", said)
		}
	})
}

// established reports whether OpenSSL has finished a handshake.
func established(said string) bool {
	return strings.Contains(said, "Verify return code: 0") && !strings.Contains(said, "Cipher is (NONE)")
}

// Only suites with authenticated encryption are accepted, over TLS 1.2 and DTLS 1.2. RFC 9132, Section 7.1.
func TestInteropSuites(t *testing.T) {
	requireProgram(t, "openssl", "openssl")
	t.Parallel()
	r := newRig(t, setup{})
	out, err := exec.Command("openssl", "ciphers", "-v", "-s", "-tls1_2", anything).Output()
	if err != nil {
		t.Fatal(err)
	}
	var with, without []string
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(line, " ")
		if strings.Contains(line, "Mac=AEAD") {
			with = append(with, name)
		} else {
			without = append(without, name)
		}
	}
	if len(with) < 10 || len(without) < 20 {
		t.Fatalf("OpenSSL has %d suites with authenticated encryption and %d without", len(with), len(without))
	}
	for _, version := range []string{"-tls1_2", "-dtls1_2"} {
		t.Run(version[1:], func(t *testing.T) {
			if said := r.shake(version, "-cipher", strings.Join(without, ":")+":@SECLEVEL=0"); established(said) {
				t.Errorf("without authenticated encryption: %s", said)
			}
			// One of each kind that a certificate with an ECDSA key can have, alone.
			for _, suite := range []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"} {
				if !slices.Contains(with, suite) {
					t.Errorf("OpenSSL has no %s", suite)
				}
				if said := r.shake(version, "-cipher", suite); !established(said) || !strings.Contains(said, "Cipher is "+suite) {
					t.Errorf("%s: it said %s", suite, said)
				}
			}
		})
	}
	// RFC 7252, Section 9.1.3.2: a small peer with certificates may have nothing but CCM_8.
	t.Run("CCM_8 over DTLS", func(t *testing.T) {
		const suite = "ECDHE-ECDSA-AES128-CCM8"
		if said := r.shake("-dtls1_2", "-cipher", suite); !established(said) || !strings.Contains(said, "Cipher is "+suite) {
			t.Errorf("it said %s", said)
		}
	})
	// All else that OpenSSL has with authenticated encryption: without forward secrecy, without a certificate, or for other keys.
	t.Run("other key exchanges", func(t *testing.T) {
		weak := slices.DeleteFunc(slices.Clone(with), func(s string) bool { return strings.HasPrefix(s, "ECDHE") })
		for _, version := range []string{"-tls1_2", "-dtls1_2"} {
			if said := r.shake(version, "-cipher", strings.Join(weak, ":")+":@SECLEVEL=0"); established(said) {
				t.Errorf("%s: %s", version, said)
			}
		}
	})
}

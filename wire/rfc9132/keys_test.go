package rfc9132

import (
	"strings"
	"testing"
)

func TestClasses(t *testing.T) {
	// RFC 9132, Section 10.6.1: the ranges of the registry.
	for _, tt := range []struct {
		first, last uint64
		want        class
	}{
		{0, 127, classRequired},
		{128, 255, classOptional},
		{256, 16383, classRequired},
		{16384, 65535, classOptional},
		{65536, 65600, classIllegal},
		{1<<64 - 1, 1<<64 - 1, classIllegal},
	} {
		for key := tt.first; ; key++ {
			if got := classOf(key); got != tt.want {
				t.Fatalf("key %d: class %d, want %d", key, got, tt.want)
			}
			if key == tt.last {
				break
			}
		}
	}
}

func TestNames(t *testing.T) {
	// RFC 9132, Section 6: a sample of the registry, and no key without a name.
	for key, want := range map[uint64]string{
		1: "mitigation-scope", 5: "mid", 14: "lifetime", 29: "attack-status", 31: "sid", 36: "current-value", 43: "current-value-decimal",
		45: "trigger-mitigation", 50: "probing-rate", 51: "peer-hb-status", 53: "acl-list", 32768: "source-prefix", 32775: "ttl",
		32776: "max-payloads", 32781: "non-partial-wait", 54: "key 54", 32782: "key 32782",
	} {
		if got := name(key); got != want {
			t.Errorf("key %d is %q, want %q", key, got, want)
		}
	}
	seen := map[string]uint64{}
	for key := uint64(1); key <= 40000; key++ {
		n := name(key)
		if n == "" {
			t.Errorf("key %d has no name", key)
		}
		// Two lists of access lists have one name in the registry.
		if other, twice := seen[n]; twice && n != "acl-list" {
			t.Errorf("keys %d and %d are both %s", other, key, n)
		}
		if known(key) == strings.HasPrefix(n, "key ") {
			t.Errorf("key %d is known: %v, name %s", key, known(key), n)
		}
		seen[n] = key
	}
}

//go:build interop

package interop

import (
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Keys of the signal channel (RFC 9132, Section 6), written down again so that a wrong one of ours is seen.
const (
	keyMitigationScope = 1
	keyScope           = 2
	keyMID             = 5
	keyTargetPrefix    = 6
	keyLifetime        = 14
	keyStatus          = 16
	keyAttackStatus    = 29
	keySignalConfig    = 30
	keyMitigating      = 32
	keyInterval        = 33
	keyCurrent         = 36
	keyIdle            = 44
	keyHeartbeat       = 49
	keyPeerHBStatus    = 51
)

// scoped wraps one mitigation.
func scoped(t *testing.T, entry map[int]any) []byte {
	t.Helper()
	return marshal(t, map[int]any{keyMitigationScope: map[int]any{keyScope: []any{entry}}})
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asking is the body of a request to protect prefixes for an hour.
func asking(t *testing.T, prefixes ...string) []byte {
	t.Helper()
	return scoped(t, map[int]any{keyTargetPrefix: prefixes, keyLifetime: 3600})
}

// hosts are that many addresses, no two of which make one prefix.
func hosts(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("198.51.100.%d/32", 2*i)
		if i >= 128 {
			list[i] = fmt.Sprintf("192.0.2.%d/32", 2*(i-128))
		}
	}
	return list
}

// manyHosts are that many addresses of the domain's largest prefix.
func manyHosts(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("2001:db8:6401::%x/128", 2*i)
	}
	return list
}

// entries are the mitigations in a body; nil when it is none.
func entries(body []byte) []map[any]any {
	var b map[uint64]map[uint64][]map[any]any
	if err := cbor.Unmarshal(body, &b); err != nil {
		return nil
	}
	return b[keyMitigationScope][keyScope]
}

// number reads a whole number of an entry; 0 when there is none.
func number(entry map[any]any, key uint64) int {
	switch v := entry[key].(type) {
	case uint64:
		return int(v)
	case int64:
		return int(v)
	}
	return 0
}

// status is the status of the one mitigation in a message; 0 when there is not one.
func (m message) status() int {
	list := entries(m.payload)
	if m.code != "2.05" || len(list) != 1 {
		return 0
	}
	return number(list[0], keyStatus)
}

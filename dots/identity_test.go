package dots_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
)

// publicKey is the DER SubjectPublicKeyInfo of a P-256 key made for this test; its private half is thrown away.
const publicKey = "3059301306072a8648ce3d020106082a8648ce3d030107034200043bb71ee255683673f09944c72f538d9f" +
	"bbc795a21fc073d55c8388f116aa0def40c2b982abd0e4c24098c17b90e648beeb1238bae7c525ace38039827db72841"

func spki(t *testing.T) []byte {
	t.Helper()
	der, err := hex.DecodeString(publicKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// RFC 9132, Section 4.4.1.1: the cuid is the base64url, without padding, of the SHA-256 cut to 16 bytes. The expected
// values are of another implementation:
//
//	openssl dgst -sha256 -binary FILE | head -c 16 | openssl base64 | tr '+/' '-_' | tr -d =
func TestCUID(t *testing.T) {
	for _, tt := range []struct {
		name       string
		credential dots.Credential
		want       string
	}{
		{"certificate", dots.Credential{SPKI: spki(t)}, "76yWMIUbB2o-DH66LMRjzw"},
		{"names do not matter", dots.Credential{SPKI: spki(t), Names: []string{"a.example"}}, "76yWMIUbB2o-DH66LMRjzw"},
		{"PSK identity", dots.Credential{PSKIdentity: "client-1"}, "VwTeGPxgReTQjDomEWJ5Vg"},
		{"both letters that base64url has of its own", dots.Credential{PSKIdentity: "psk-11"}, "iS15KI_-LINOLYvCLXZY6Q"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.credential.CUID()
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(got) {
				t.Errorf("%q is not 22 letters that may stand in a path", got)
			}
		})
	}
}

// TestCUIDFollowsTheKey: a cuid changes with the key, in whichever bit.
func TestCUIDFollowsTheKey(t *testing.T) {
	seen := map[string]int{dots.Credential{SPKI: spki(t)}.CUID(): -1}
	for i := range spki(t) {
		changed := spki(t)
		changed[i] ^= 1
		cuid := dots.Credential{SPKI: changed}.CUID()
		if other, ok := seen[cuid]; ok {
			t.Errorf("changing byte %d gives the cuid of %d: %s", i, other, cuid)
		}
		seen[cuid] = i
	}
}

func TestFingerprint(t *testing.T) {
	const want = "5704de18fc6045e4d08c3a261162795689ba6a0383964109350f8fad3c4ad972" // printf client-1 | openssl dgst -sha256
	sum := dots.Credential{PSKIdentity: "client-1"}.Fingerprint()
	if got := hex.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	der := spki(t)
	if got, want := (dots.Credential{SPKI: der}).Fingerprint(), sha256.Sum256(der); got != want {
		t.Errorf("of a key: got %x, want %x", got, want)
	}
	// A certificate is the stronger proof: an identity beside it changes nothing.
	if got, want := (dots.Credential{SPKI: der, PSKIdentity: "x"}).Fingerprint(), sha256.Sum256(der); got != want {
		t.Errorf("of a key beside an identity: got %x, want %x", got, want)
	}
}

// TestEncodeCUID uses only the first half of the sum.
func TestEncodeCUID(t *testing.T) {
	var sum [sha256.Size]byte
	if got := dots.EncodeCUID(sum); got != "AAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("zeros: got %q", got)
	}
	for i := 16; i < len(sum); i++ {
		sum[i] = 0xff
	}
	if got := dots.EncodeCUID(sum); got != "AAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("the second half shows: %q", got)
	}
	sum[15] = 1
	if got := dots.EncodeCUID(sum); got != "AAAAAAAAAAAAAAAAAAAAAQ" {
		t.Errorf("the sixteenth byte does not show: %q", got)
	}
}

// TestKeysNameThings: keys are compared as a whole, since tables are indexed by them.
func TestKeysNameThings(t *testing.T) {
	client := dots.Client{Name: "edge", CUID: "c1"}
	mitigations := map[dots.MitigationKey]bool{{Client: client, MID: 1}: true}
	for name, key := range map[string]dots.MitigationKey{
		"another mid":   {Client: client, MID: 2},
		"another cuid":  {Client: dots.Client{Name: "edge", CUID: "c2"}, MID: 1},
		"another entry": {Client: dots.Client{Name: "core", CUID: "c1"}, MID: 1},
	} {
		if mitigations[key] {
			t.Errorf("%s: names the same mitigation", name)
		}
	}
	if !mitigations[dots.MitigationKey{Client: dots.Client{Name: "edge", CUID: "c1"}, MID: 1}] {
		t.Error("an equal key names another mitigation")
	}
	legs := map[dots.LegKey]bool{{Uplink: "a", CUID: "c1", MID: 1}: true}
	for name, key := range map[string]dots.LegKey{
		"another uplink": {Uplink: "b", CUID: "c1", MID: 1},
		"another cuid":   {Uplink: "a", CUID: "c2", MID: 1},
		"another mid":    {Uplink: "a", CUID: "c1", MID: 2},
	} {
		if legs[key] {
			t.Errorf("%s: names the same leg", name)
		}
	}
}

// RFC 9132, Section 4.4.1.2: cuid and cdid together tell a client.
func TestCompareKeys(t *testing.T) {
	key := func(name, cuid, cdid string, mid uint32) dots.MitigationKey {
		return dots.MitigationKey{Client: dots.Client{Name: name, CUID: cuid, CDID: cdid}, MID: mid}
	}
	sorted := []dots.MitigationKey{
		key("a", "x", "", 9), key("a", "x", "d", 1), key("a", "x", "d", 2), key("a", "x", "e", 1), key("a", "y", "d", 0), key("b", "", "", 0),
	}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := a.Compare(b); got != cmp.Compare(i, j) {
				t.Errorf("%v and %v: %d", a, b, got)
			}
		}
	}
}

package dots

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Credential is what a peer proved in its handshake. Peers are known by their credential and never by an
// address (RFC 9132, Section 7.2). Exactly one of SPKI and PSKIdentity is set.
type Credential struct {
	SPKI        []byte   // DER SubjectPublicKeyInfo of the leaf certificate
	Names       []string // names of the leaf certificate: DNS names, then the common name
	PSKIdentity string   // identity of a pre-shared key
}

// Fingerprint returns the SHA-256 of the public key, or of the PSK identity.
func (c Credential) Fingerprint() [sha256.Size]byte {
	if len(c.SPKI) > 0 {
		return sha256.Sum256(c.SPKI)
	}
	return sha256.Sum256([]byte(c.PSKIdentity))
}

// CUID returns the identifier that this credential gives by the recommended rule: the first 16 bytes of the
// SHA-256, in base64url without padding, 22 characters (RFC 9132, Section 4.4.1.1). A cdid is made the same way.
func (c Credential) CUID() string { return EncodeCUID(c.Fingerprint()) }

// EncodeCUID shortens and encodes a SHA-256 as cuid and cdid are (RFC 9132, Section 4.4.1.1).
func EncodeCUID(sum [sha256.Size]byte) string {
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Client names a downstream client: a configured entry under one of its cuids. Mitigations belong to it,
// not to a session (RFC 8811, Section 3.1).
type Client struct {
	Name string // the configured entry
	CUID string
	// CDID tells the clients behind a gateway that is trusted to supply it from each other, who may have the same cuid; from anybody else
	// it is dropped, and empty here (RFC 9132, Section 4.4.1.2).
	CDID string `json:",omitempty"`
}

// Compare orders clients by entry, cuid and cdid.
func (c Client) Compare(o Client) int {
	if n := strings.Compare(c.Name, o.Name); n != 0 { // nearly always: it is sorted by this all the time
		return n
	}
	return cmp.Or(strings.Compare(c.CUID, o.CUID), strings.Compare(c.CDID, o.CDID))
}

// MitigationKey names a mitigation as its client made it.
type MitigationKey struct {
	Client Client
	MID    uint32
}

// Compare orders mitigations by client and mid.
func (k MitigationKey) Compare(o MitigationKey) int {
	if n := k.Client.Compare(o.Client); n != 0 {
		return n
	}
	return cmp.Compare(k.MID, o.MID)
}

// LegKey names a mitigation request as the gateway makes it to an uplink.
type LegKey struct {
	Uplink string
	CUID   string // the gateway's cuid at that uplink
	MID    uint32
}

// MIDRollover is the mid from which on the counter starts again at 0 once no attack is
// active: three quarters of 2^32-1 (RFC 9132, Section 4.4.1.1).
const MIDRollover uint32 = 3221225471

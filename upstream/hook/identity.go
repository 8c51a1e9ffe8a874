package hook

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// identity makes the IDs of legs and reads them again: SCOPE.CUID.MID. They are stable over restarts. The scope tells the mitigations
// of this gateway's uplink from those of others who use the same receiver; the cuid is that of the leg, one of ours, in base64url.
type identity struct {
	uplink string
	scope  string
}

// newIdentity makes the identity of an uplink of a gateway.
func newIdentity(owner, uplink string) identity {
	sum := sha256.Sum256([]byte(owner + "\x00" + uplink))
	return identity{uplink: uplink, scope: base64.RawURLEncoding.EncodeToString(sum[:6])}
}

// id names a leg.
func (i identity) id(k dots.LegKey) string {
	return i.scope + "." + base64.RawURLEncoding.EncodeToString([]byte(k.CUID)) + "." + strconv.FormatUint(uint64(k.MID), 10)
}

// key is the leg of an ID; false: it is none of ours.
func (i identity) key(id string) (dots.LegKey, bool) {
	part := strings.Split(id, ".")
	if len(part) != 3 || part[0] != i.scope {
		return dots.LegKey{}, false
	}
	cuid, err := base64.RawURLEncoding.DecodeString(part[1])
	mid, errMID := strconv.ParseUint(part[2], 10, 32)
	k := dots.LegKey{Uplink: i.uplink, CUID: string(cuid), MID: uint32(mid)}
	return k, err == nil && errMID == nil && i.id(k) == id
}

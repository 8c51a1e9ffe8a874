package draft04

import (
	"strconv"

	"github.com/dotsgate/dotsgate/wire"
)

// The CBOR keys of the draft, its Section 6.
const (
	keyMitigationScope   = wire.KeyMitigationScope
	keyScope             = wire.KeyScope
	keyMitigationID      = 3
	keyTargetIP          = 4
	keyTargetPortRange   = 5
	keyLowerPort         = 6
	keyUpperPort         = 7
	keyTargetProtocol    = 8
	keyFQDN              = 9
	keyURI               = 10
	keyAliasName         = 11
	keyLifetime          = 12
	keyAttackStatus      = 13
	keySignalConfig      = 14
	keyHeartbeatInterval = 15
	keyMaxRetransmit     = 16
	keyAckTimeout        = 17
	keyAckRandomFactor   = 18
	keyMinValue          = 19
	keyMaxValue          = 20
	keyStatus            = 21
	keyBytesDropped      = 22
	keyBPSDropped        = 23
	keyPktsDropped       = 24
	keyPPSDropped        = 25
	keySessionID         = 26
	keyTriggerMitigation = 27
	keyMissingHBAllowed  = 28
	keyCurrentValue      = 29
	keyMitigationStart   = 30
	firstVendorKey       = 32768
	lastKey              = 65536
)

// Members without a key go by their names; within this package they have numbers that no key has.
const (
	nameUnknown = lastKey + 1 + iota
	nameTargetPrefix
	nameAltServer
	nameAltServerRecord
	nameAddr
	nameTTL
)

// The names on the wire.
const (
	textTargetPrefix    = "target-prefix"
	textAltServer       = "alt-server"
	textAltServerRecord = "alt-server-record"
	textAddr            = "addr"
	textTTL             = "ttl"
)

// named returns the number of a member that goes by its name.
func named(text string) uint64 {
	switch text {
	case textTargetPrefix:
		return nameTargetPrefix
	case textAltServer:
		return nameAltServer
	case textAltServerRecord:
		return nameAltServerRecord
	case textAddr:
		return nameAddr
	case textTTL:
		return nameTTL
	}
	return nameUnknown
}

// name returns a key's name as a diagnostic shows it.
func name(key uint64) string {
	keys := [...]string{
		wire.BodyKey: "body", keyMitigationScope: "mitigation-scope", keyScope: "scope", keyMitigationID: "mitigation-id",
		keyTargetIP: "target-ip", keyTargetPortRange: "target-port-range", keyLowerPort: "lower-port",
		keyUpperPort: "upper-port", keyTargetProtocol: "target-protocol", keyFQDN: "fqdn", keyURI: "uri",
		keyAliasName: "alias-name", keyLifetime: "lifetime", keyAttackStatus: "attack-status",
		keySignalConfig: "signal-config", keyHeartbeatInterval: "heartbeat-interval", keyMaxRetransmit: "max-retransmit",
		keyAckTimeout: "ack-timeout", keyAckRandomFactor: "ack-random-factor", keyMinValue: "MinValue",
		keyMaxValue: "MaxValue", keyStatus: "status", keyBytesDropped: "bytes-dropped", keyBPSDropped: "bps-dropped",
		keyPktsDropped: "pkts-dropped", keyPPSDropped: "pps-dropped", keySessionID: "session-id",
		keyTriggerMitigation: "trigger-mitigation", keyMissingHBAllowed: "missing-hb-allowed",
		keyCurrentValue: "CurrentValue", keyMitigationStart: "mitigation-start",
	}
	names := [...]string{"a name", textTargetPrefix, textAltServer, textAltServerRecord, textAddr, textTTL}
	switch {
	case key < uint64(len(keys)):
		return keys[key]
	case key >= nameUnknown && key <= nameTTL:
		return names[key-nameUnknown]
	}
	return "key " + strconv.FormatUint(key, 10)
}

package rfc9132

import (
	"strconv"

	"github.com/dotsgate/dotsgate/wire"
)

// The CBOR keys of the signal channel (RFC 9132, Section 6).
const (
	keyMitigationScope    = wire.KeyMitigationScope
	keyScope              = wire.KeyScope
	keyCDID               = 3
	keyCUID               = 4
	keyMID                = 5
	keyTargetPrefix       = 6
	keyTargetPortRange    = 7
	keyLowerPort          = 8
	keyUpperPort          = 9
	keyTargetProtocol     = 10
	keyTargetFQDN         = 11
	keyTargetURI          = 12
	keyAliasName          = 13
	keyLifetime           = 14
	keyMitigationStart    = 15
	keyStatus             = 16
	keyConflict           = 17
	keyConflictStatus     = 18
	keyConflictCause      = 19
	keyRetryTimer         = 20
	keyConflictScope      = 21
	keyACLList            = 22
	keyACLName            = 23
	keyACLType            = 24
	keyBytesDropped       = 25
	keyBPSDropped         = 26
	keyPktsDropped        = 27
	keyPPSDropped         = 28
	keyAttackStatus       = 29
	keySignalConfig       = 30
	keySID                = 31
	keyMitigatingConfig   = 32
	keyHeartbeatInterval  = 33
	keyMaxValue           = 34
	keyMinValue           = 35
	keyCurrentValue       = 36
	keyMissingHBAllowed   = 37
	keyMaxRetransmit      = 38
	keyAckTimeout         = 39
	keyAckRandomFactor    = 40
	keyMaxDecimal         = 41
	keyMinDecimal         = 42
	keyCurrentDecimal     = 43
	keyIdleConfig         = 44
	keyTriggerMitigation  = 45
	keyRedirectedSignal   = 46
	keyAltServer          = 47
	keyAltServerRecord    = 48
	keyHeartbeat          = 49
	keyProbingRate        = 50
	keyPeerHBStatus       = 51
	keyActivationType     = 52 // RFC 9133, Section 3.2.2
	keyControlACLList     = 53
	keySourcePrefix       = 32768 // RFC 9066, Section 5.3.1
	keySourcePortRange    = 32769
	keySourceICMPType     = 32770
	keyLowerType          = 32771
	keyUpperType          = 32772
	keyAltCHClient        = 32773
	keyAltCHClientRecord  = 32774
	keyTTL                = 32775
	keyMaxPayloads        = 32776 // RFC 9362, Section 5
	keyNonMaxRetransmit   = 32777
	keyNonTimeout         = 32778
	keyNonReceiveTimeout  = 32779
	keyNonProbingWait     = 32780
	keyNonPartialWait     = 32781
	firstKey, lastKey     = keyMitigationScope, keyControlACLList
	firstCHKey, lastCHKey = keySourcePrefix, keyNonPartialWait
)

// class is what a receiver must do with a key that it does not know (RFC 9132, Section 10.6.1).
type class uint8

const (
	classRequired class = iota // refuse the message
	classOptional              // pass over it
	classIllegal               // no key at all
)

// Bounds of the comprehension-optional ranges and of all keys.
const (
	firstOptional, lastOptional         = 128, 255
	firstHighOptional, lastKeyOfAnyKind = 16384, 65535
)

// RFC 9132, Section 10.6.1: 1-127 and 256-16383 are comprehension-required, 128-255 and 16384-65535 comprehension-optional.
func classOf(key uint64) class {
	switch {
	case key > lastKeyOfAnyKind:
		return classIllegal
	case key >= firstHighOptional, key >= firstOptional && key <= lastOptional:
		return classOptional
	}
	return classRequired
}

// known reports whether the key has a meaning in this profile, wherever that is.
func known(key uint64) bool {
	return key >= firstKey && key <= lastKey || key >= firstCHKey && key <= lastCHKey
}

// name returns a key's name as a diagnostic shows it, without module prefix.
func name(key uint64) string {
	low := [...]string{
		keyMitigationScope: "mitigation-scope", keyScope: "scope", keyCDID: "cdid", keyCUID: "cuid", keyMID: "mid",
		keyTargetPrefix: "target-prefix", keyTargetPortRange: "target-port-range", keyLowerPort: "lower-port",
		keyUpperPort: "upper-port", keyTargetProtocol: "target-protocol", keyTargetFQDN: "target-fqdn",
		keyTargetURI: "target-uri", keyAliasName: "alias-name", keyLifetime: "lifetime",
		keyMitigationStart: "mitigation-start", keyStatus: "status", keyConflict: "conflict-information",
		keyConflictStatus: "conflict-status", keyConflictCause: "conflict-cause", keyRetryTimer: "retry-timer",
		keyConflictScope: "conflict-scope", keyACLList: "acl-list", keyACLName: "acl-name", keyACLType: "acl-type",
		keyBytesDropped: "bytes-dropped", keyBPSDropped: "bps-dropped", keyPktsDropped: "pkts-dropped",
		keyPPSDropped: "pps-dropped", keyAttackStatus: "attack-status", keySignalConfig: "signal-config", keySID: "sid",
		keyMitigatingConfig: "mitigating-config", keyHeartbeatInterval: "heartbeat-interval", keyMaxValue: "max-value",
		keyMinValue: "min-value", keyCurrentValue: "current-value", keyMissingHBAllowed: "missing-hb-allowed",
		keyMaxRetransmit: "max-retransmit", keyAckTimeout: "ack-timeout", keyAckRandomFactor: "ack-random-factor",
		keyMaxDecimal: "max-value-decimal", keyMinDecimal: "min-value-decimal", keyCurrentDecimal: "current-value-decimal",
		keyIdleConfig: "idle-config", keyTriggerMitigation: "trigger-mitigation", keyRedirectedSignal: "redirected-signal",
		keyAltServer: "alt-server", keyAltServerRecord: "alt-server-record", keyHeartbeat: "heartbeat",
		keyProbingRate: "probing-rate", keyPeerHBStatus: "peer-hb-status", keyActivationType: "activation-type",
		keyControlACLList: "acl-list",
	}
	high := [...]string{
		"source-prefix", "source-port-range", "source-icmp-type-range", "lower-type", "upper-type", "alt-ch-client",
		"alt-ch-client-record", "ttl", "max-payloads", "non-max-retransmit", "non-timeout", "non-receive-timeout",
		"non-probing-wait", "non-partial-wait",
	}
	switch {
	case key == wire.BodyKey:
		return "body"
	case key >= firstKey && key <= lastKey:
		return low[key]
	case key >= firstCHKey && key <= lastCHKey:
		return high[key-firstCHKey]
	}
	return "key " + strconv.FormatUint(key, 10)
}

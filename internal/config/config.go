package config

import (
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// Profile names of the wire (RFC 9132, and draft-ietf-dots-signal-channel-04).
const (
	ProfileRFC9132 = "rfc9132"
	ProfileDraft04 = "draft04"
)

// Transports of a listener or an uplink.
const (
	TransportDTLS = "dtls" // CoAP over DTLS over UDP
	TransportTLS  = "tls"  // CoAP over TLS over TCP (RFC 8323)
	TransportAuto = "auto" // to an uplink: DTLS, and TLS where that does not get through (RFC 9132, Section 4.3)
)

// Config is a checked configuration. Paths are absolute or relative to the working directory of the process.
type Config struct {
	File         string // where it was read from
	NodeID       string // our identifier in the list of a 5.08 (RFC 8768, Section 3)
	HopLimit     int    // put into requests that come without one, 1 to 255
	HideTopology bool   // clients are told our own identifier alone in a 5.08, not the uplink's list (RFC 8768, Section 7)
	// Unicast are our own addresses, to which an anycast listener sends its clients; empty: there is no such listener.
	Unicast     []netip.Addr
	UnicastName string // by which they check it; empty: NodeID
	// CookieSecret makes the cookies by which clients prove their addresses; nodes that share an address share it. Nil: a random one.
	CookieSecret Secret
	Listeners    []Listener
	Credentials  Credentials
	Uplinks      []Uplink // each server of a farm is one
	Mitigators   []Mitigator
	Policy       *policy.Policy
	Mitigation   Mitigation
	Session      Session
	DNS          DNS
	AAA          *AAA   // nil: none
	Store        string // path of the database
	Metrics      string // host:port; empty: none
	Admin        string // path of the Unix socket; empty: none
	Log          Log

	words    policy.Config // what Policy was made of
	natFiles []natFile     // where some of it is from
	leaving  []string      // uplinks and mitigators that it does not name, see Retain
}

// Listener is where clients come in.
type Listener struct {
	Address     string // host:port
	Transport   string // TransportDTLS or TransportTLS
	Profiles    []string
	RequireALPN bool // TLS only: refuse clients that do not offer "coap"
	MaxSessions int  // 0: the built-in bound
	Handshakes  int  // at a time; 0: the built-in bound
	RecordPath  string
	PathMTU     int // the largest IP packet that is sent over DTLS, in bytes; 0: the built-in one
	Source      SourceLimits
	// ClientDomain: whoever comes in here is in the domain of clients: nobody's cdid is believed (RFC 9132, Section 4.4.1.2).
	ClientDomain bool
	Anycast      bool // clients are sent on to Unicast (RFC 8811, Section 3.2.4)
	// RedirectTo is where clients beyond MaxSessions are sent; an empty Server: they are refused (RFC 9132, Section 4.6).
	RedirectTo Alternate
}

// Alternate is another server, to which clients are sent.
type Alternate struct {
	Server    string // the name that its certificate must have
	Addresses []netip.Addr
}

// SourceLimits are what one address of IPv4, or one /56 of IPv6, may ask of a listener. Zero: the built-in bound.
type SourceLimits struct {
	Rate       int // new handshakes a second
	Burst      int // and at once
	Handshakes int // under way
}

// Secret is never shown.
type Secret []byte

// String hides it.
func (Secret) String() string { return "(secret)" }

// Who protects the records of established DTLS sessions.
const (
	RecordPathOwn  = "own"  // the gateway
	RecordPathPion = "pion" // the DTLS library
)

// Credentials are what the gateway proves itself with and whom it believes.
type Credentials struct {
	Cert, Key, CA, CRL string            // PEM files; CRL may be empty
	PSKFile            string            // where PSKs are from; empty: none
	PSKs               map[string][]byte // keys by identity; nil: none
	PSKIdentity        string            // shown when dialling; empty: the certificate is
	AllowPlainPSK      bool              // pre-shared keys without Diffie-Hellman
}

// onlyPSK reports whether there is no certificate but pre-shared keys.
func (c Credentials) onlyPSK() bool { return c.Cert+c.Key+c.CA == "" && c.PSKFile != "" }

// Uplink is an upstream DOTS server.
type Uplink struct {
	Name        string        // of a farm's server: FARM/SERVER
	Address     string        // host:port
	TLSAddress  string        // host:port over TLS, with TransportAuto; empty: Address
	ServerName  string        // name in the server's certificate; empty: the host of Address
	Transport   string        // TransportDTLS, TransportTLS or TransportAuto
	ProbeUDP    time.Duration // with TransportAuto, between two attempts to get from TLS to DTLS
	Redirects   bool          // its redirects to other servers are followed
	Profile     string
	Credentials Credentials
	Source      netip.Addr // which address of ours it is asked from; not valid: the system's choice
	Interface   string     // which interface of ours; empty: the system's choice
	RecordPath  string     // who protects the records of DTLS sessions: RecordPathOwn or RecordPathPion
	PathMTU     int        // the largest IP packet that is sent over DTLS, in bytes; 0: the built-in one
	// Session is what is negotiated of the parameters of its sessions: current values alone; zero: nothing is (RFC 9132, Section 4.5).
	Session dots.SessionConfig
}

// Mitigation is how mitigations are treated.
type Mitigation struct {
	AnswerWait     time.Duration // how long a request waits for the uplink
	Terminating    time.Duration // active-but-terminating period (RFC 9132, Section 4.4.4)
	TerminatingMax time.Duration
	WhenDown       string // "hold" or "refuse"
	Mirror         bool   // requests with trigger-mitigation=false are armed at the uplink too
	NotifyEvery    time.Duration
}

// Session holds the parameters that a session begins with (RFC 9132, Section 4.5).
type Session struct {
	HeartbeatInterval time.Duration
	MissingHBAllowed  int
	// MaxPerClient bounds the sessions of one client; 0: there is no bound.
	MaxPerClient int
	// MaxAge is how long a client may take its configuration as fresh; EndUnrefreshed: its session ends when it does not ask again by then.
	MaxAge         time.Duration
	EndUnrefreshed bool
	// Idle and Mitigating hold what is begun with and accepted in the two sets, of those parameters that are configured.
	Idle, Mitigating dots.ConfigSet
}

// DNS is how names in targets are resolved.
type DNS struct {
	Server        string // host:port; empty: the system's
	Transport     string // "udp", "tcp" or "dot"
	TLSName       string
	CA            string
	RequireDNSSEC bool
	Static        map[string][]netip.Addr
}

// Domains counts the domains.
func (c *Config) Domains() int { return len(c.words.Domains) }

// Log is what is logged and how.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "text" or "json"
}

package config

// The types of the file: words as people write them. A pointer is a setting whose absence differs from its zero.

type file struct {
	Node        fileNode        `yaml:"node"`
	Listeners   []fileListener  `yaml:"listeners"`
	Credentials fileCredentials `yaml:"credentials"`
	Uplinks     []fileUplink    `yaml:"uplinks"`
	Mitigators  []fileMitigator `yaml:"mitigators"`
	Classes     []fileClass     `yaml:"classes"`
	Domains     []fileDomain    `yaml:"domains"`
	Limits      fileLimits      `yaml:"limits"`
	Mitigation  fileMitigation  `yaml:"mitigation"`
	Session     fileSession     `yaml:"session"`
	DNS         fileDNS         `yaml:"dns"`
	AAA         *fileAAA        `yaml:"aaa"`
	Store       fileStore       `yaml:"store"`
	Metrics     fileMetrics     `yaml:"metrics"`
	Admin       fileAdmin       `yaml:"admin"`
	Log         fileLog         `yaml:"log"`
}

type fileNode struct {
	ID           string   `yaml:"id"`
	HopLimit     *int     `yaml:"hop_limit"`
	HideTopology *bool    `yaml:"hide_topology"`
	Unicast      []string `yaml:"unicast"`
	UnicastName  string   `yaml:"unicast_name"`
	CookieSecret string   `yaml:"cookie_secret_file"`
}

type fileListener struct {
	Address     string        `yaml:"address"`
	Transport   string        `yaml:"transport"`
	Profiles    []string      `yaml:"profiles"`
	RequireALPN bool          `yaml:"require_alpn"`
	MaxSessions int           `yaml:"max_sessions"`
	Handshakes  int           `yaml:"max_handshakes"`
	RecordPath  string        `yaml:"record_path"`
	PathMTU     int           `yaml:"path_mtu"`
	Source      fileSource    `yaml:"source"`
	Side        string        `yaml:"side"`
	Anycast     bool          `yaml:"anycast"`
	RedirectTo  fileAlternate `yaml:"redirect_to"`
}

type fileAlternate struct {
	Server    string   `yaml:"server"`
	Addresses []string `yaml:"addresses"`
}

type fileSource struct {
	Rate       int `yaml:"rate"`
	Burst      int `yaml:"burst"`
	Handshakes int `yaml:"handshakes"`
}

type fileCredentials struct {
	Cert          string `yaml:"cert"`
	Key           string `yaml:"key"`
	CA            string `yaml:"ca"`
	CRL           string `yaml:"crl"`
	PSKFile       string `yaml:"psk_file"`
	PSKIdentity   string `yaml:"psk_identity"`
	AllowPlainPSK bool   `yaml:"allow_plain_psk"`
}

type fileUplink struct {
	Name          string           `yaml:"name"`
	Address       string           `yaml:"address"`
	ServerName    string           `yaml:"server_name"`
	TLSAddress    string           `yaml:"tls_address"`
	Transport     string           `yaml:"transport"`
	ProbeUDP      string           `yaml:"probe_udp"`
	Redirects     string           `yaml:"redirects"`
	Profile       string           `yaml:"profile"`
	Credentials   *fileCredentials `yaml:"credentials"`
	CUID          string           `yaml:"cuid"`
	RelayOptional []uint64         `yaml:"relay_optional"`
	CDID          string           `yaml:"cdid"`
	Prefixes      []string         `yaml:"prefixes"`
	Source        string           `yaml:"source"`
	Interface     string           `yaml:"interface"`
	RecordPath    string           `yaml:"record_path"`
	PathMTU       int              `yaml:"path_mtu"`
	Session       fileNegotiated   `yaml:"session"`
	Servers       []fileServer     `yaml:"servers"`
}

type fileNegotiated struct {
	Idle       fileParameters `yaml:"idle"`
	Mitigating fileParameters `yaml:"mitigating"`
}

type fileParameters struct {
	HeartbeatInterval string   `yaml:"heartbeat_interval"`
	MissingHBAllowed  *int     `yaml:"missing_hb_allowed"`
	ProbingRate       *int     `yaml:"probing_rate"`
	MaxRetransmit     *int     `yaml:"max_retransmit"`
	AckTimeout        string   `yaml:"ack_timeout"`
	AckRandomFactor   *float64 `yaml:"ack_random_factor"`
}

type fileServer struct {
	Name       string `yaml:"name"`
	Address    string `yaml:"address"`
	TLSAddress string `yaml:"tls_address"`
	ServerName string `yaml:"server_name"`
}

type fileClass struct {
	Name   string     `yaml:"name"`
	Guest  bool       `yaml:"guest"`
	Limits fileLimits `yaml:"limits"`
}

type fileDomain struct {
	Name         string               `yaml:"name"`
	Prefixes     []string             `yaml:"prefixes"`
	Names        []string             `yaml:"names"`
	URIs         []string             `yaml:"uris"`
	Aliases      map[string]fileAlias `yaml:"aliases"`
	Clients      []fileClient         `yaml:"clients"`
	Uplinks      []string             `yaml:"uplinks"`
	Strategy     string               `yaml:"strategy"`
	Mitigators   []string             `yaml:"mitigators"`
	Recursion    fileRecursion        `yaml:"recursion"`
	NAT          []fileMapping        `yaml:"nat"`
	NATFile      string               `yaml:"nat_file"`
	Consult      bool                 `yaml:"consult"`
	OnOverlap    string               `yaml:"on_overlap"`
	OnDNSFailure string               `yaml:"on_dns_failure"`
	Limits       fileLimits           `yaml:"limits"`
}

type fileRecursion struct {
	OnExceeded  bool     `yaml:"on_exceeded"`
	PPS         uint64   `yaml:"pps"`
	BPS         uint64   `yaml:"bps"`
	Mitigations int      `yaml:"mitigations"`
	Low         *float64 `yaml:"low"`
	Hold        string   `yaml:"hold"`
}

type fileMapping struct {
	Inside       string `yaml:"inside"`
	Outside      string `yaml:"outside"`
	InsidePorts  string `yaml:"inside_ports"`
	OutsidePorts string `yaml:"outside_ports"`
}

type fileAlias struct {
	Prefixes  []string `yaml:"prefixes"`
	Ports     []string `yaml:"ports"`
	Protocols []int    `yaml:"protocols"`
	Names     []string `yaml:"names"`
	URIs      []string `yaml:"uris"`
}

type fileClient struct {
	Name           string                `yaml:"name"`
	Credentials    fileClientCredentials `yaml:"credentials"`
	Guest          bool                  `yaml:"guest"`
	Class          string                `yaml:"class"`
	TrustedGateway bool                  `yaml:"trusted_gateway"`
}

type fileClientCredentials struct {
	CertNames     []string `yaml:"cert_names"`
	SPKIs         []string `yaml:"spki_sha256"`
	PSKIdentities []string `yaml:"psk_identities"`
}

type fileLimits struct {
	MaxLifetime       *int64 `yaml:"max_lifetime"`
	AllowIndefinite   *bool  `yaml:"allow_indefinite"`
	IndefiniteGrant   *int64 `yaml:"indefinite_grant"`
	MaxMitigations    *int   `yaml:"max_mitigations"`
	MaxCUIDs          *int   `yaml:"max_cuids"`
	MaxNamesInTarget  *int   `yaml:"max_names_in_target"`
	MaxObservers      *int   `yaml:"max_observers"`
	RequestsPerMinute *int   `yaml:"requests_per_minute"`
	NewCUIDsPerHour   *int   `yaml:"new_cuids_per_hour"`
}

type fileMitigation struct {
	AnswerWait     string `yaml:"answer_wait"`
	Terminating    string `yaml:"terminating"`
	TerminatingMax string `yaml:"terminating_max"`
	WhenDown       string `yaml:"when_down"`
	Mirror         *bool  `yaml:"mirror"`
	NotifyEvery    string `yaml:"notify_every"`
}

type fileSession struct {
	HeartbeatInterval string      `yaml:"heartbeat_interval"`
	MissingHBAllowed  *int        `yaml:"missing_hb_allowed"`
	MaxPerClient      *int        `yaml:"max_per_client"`
	MaxAge            string      `yaml:"max_age"`
	EndUnrefreshed    bool        `yaml:"end_unrefreshed"`
	Idle              fileOffered `yaml:"idle"`
	Mitigating        fileOffered `yaml:"mitigating"`
}

// fileOffered holds, of each parameter, the least value, what sessions begin with, and the most.
type fileOffered struct {
	HeartbeatInterval []string  `yaml:"heartbeat_interval"`
	MissingHBAllowed  []int     `yaml:"missing_hb_allowed"`
	ProbingRate       []int     `yaml:"probing_rate"`
	MaxRetransmit     []int     `yaml:"max_retransmit"`
	AckTimeout        []string  `yaml:"ack_timeout"`
	AckRandomFactor   []float64 `yaml:"ack_random_factor"`
}

type fileDNS struct {
	Server        string              `yaml:"server"`
	Transport     string              `yaml:"transport"`
	TLSName       string              `yaml:"tls_name"`
	CA            string              `yaml:"ca"`
	RequireDNSSEC bool                `yaml:"require_dnssec"`
	Static        map[string][]string `yaml:"static"`
}

type fileStore struct {
	Path string `yaml:"path"`
}

type fileMetrics struct {
	Address *string `yaml:"address"`
}

type fileAdmin struct {
	Socket *string `yaml:"socket"`
}

type fileLog struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

type fileMitigator struct {
	Name        string       `yaml:"name"`
	StatusEvery string       `yaml:"status_every"`
	Webhook     *fileWebhook `yaml:"webhook"`
	Command     *fileCommand `yaml:"command"`
	BGP         *fileBGP     `yaml:"bgp"`
}

type fileWebhook struct {
	URL        string `yaml:"url"`
	StatusURL  string `yaml:"status_url"`
	SecretFile string `yaml:"secret_file"`
	CA         string `yaml:"ca"`
	Cert       string `yaml:"cert"`
	Key        string `yaml:"key"`
	Timeout    string `yaml:"timeout"`
}

type fileCommand struct {
	Program string   `yaml:"program"`
	Args    []string `yaml:"args"`
	Env     []string `yaml:"env"`
	Timeout string   `yaml:"timeout"`
}

type fileBGP struct {
	Address     string   `yaml:"address"`
	API         string   `yaml:"api"`
	CA          string   `yaml:"ca"`
	Cert        string   `yaml:"cert"`
	Key         string   `yaml:"key"`
	Timeout     string   `yaml:"timeout"`
	Mode        string   `yaml:"mode"`
	Communities []string `yaml:"communities"`
	Marker      string   `yaml:"marker"`
	NextHop4    string   `yaml:"next_hop4"`
	NextHop6    string   `yaml:"next_hop6"`
	MinLength4  *int     `yaml:"min_length4"`
	MinLength6  *int     `yaml:"min_length6"`
	Action      string   `yaml:"action"`
	Rate        uint64   `yaml:"rate"`
	RedirectTo  string   `yaml:"redirect_to"`
	MaxPerLeg   *int     `yaml:"max_per_leg"`
	MaxRoutes   *int     `yaml:"max_routes"`
}

type fileAAA struct {
	Radius   *fileRadius `yaml:"radius"`
	HTTP     *fileHook   `yaml:"http"`
	Cache    fileCache   `yaml:"cache"`
	Fail     string      `yaml:"fail"`
	MaxStale string      `yaml:"max_stale"`
}

type fileRadius struct {
	Servers    []string `yaml:"servers"`
	SecretFile string   `yaml:"secret_file"`
	Timeout    string   `yaml:"timeout"`
	Tries      *int     `yaml:"tries"`
	DeadTime   string   `yaml:"dead_time"`
	Vendor     *int     `yaml:"vendor"`
}

type fileHook struct {
	URL     string `yaml:"url"`
	CA      string `yaml:"ca"`
	Cert    string `yaml:"cert"`
	Key     string `yaml:"key"`
	Timeout string `yaml:"timeout"`
}

type fileCache struct {
	Size     *int   `yaml:"size"`
	AllowTTL string `yaml:"allow_ttl"`
	DenyTTL  string `yaml:"deny_ttl"`
}

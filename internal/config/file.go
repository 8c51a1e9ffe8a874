package config

// The types of the file: words as people write them. A pointer is a setting whose absence differs from its zero.

type file struct {
	Node        fileNode        `yaml:"node"`
	Listeners   []fileListener  `yaml:"listeners"`
	Credentials fileCredentials `yaml:"credentials"`
	Uplinks     []fileUplink    `yaml:"uplinks"`
	Domains     []fileDomain    `yaml:"domains"`
	Limits      fileLimits      `yaml:"limits"`
	Mitigation  fileMitigation  `yaml:"mitigation"`
	Session     fileSession     `yaml:"session"`
	DNS         fileDNS         `yaml:"dns"`
	Store       fileStore       `yaml:"store"`
	Metrics     fileMetrics     `yaml:"metrics"`
	Admin       fileAdmin       `yaml:"admin"`
	Log         fileLog         `yaml:"log"`
}

type fileNode struct {
	ID           string `yaml:"id"`
	HopLimit     *int   `yaml:"hop_limit"`
	HideTopology *bool  `yaml:"hide_topology"`
}

type fileListener struct {
	Address     string   `yaml:"address"`
	Transport   string   `yaml:"transport"`
	Profiles    []string `yaml:"profiles"`
	RequireALPN bool     `yaml:"require_alpn"`
	MaxSessions int      `yaml:"max_sessions"`
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
	Transport     string           `yaml:"transport"`
	Profile       string           `yaml:"profile"`
	Credentials   *fileCredentials `yaml:"credentials"`
	CUID          string           `yaml:"cuid"`
	RelayOptional []uint64         `yaml:"relay_optional"`
}

type fileDomain struct {
	Name         string               `yaml:"name"`
	Prefixes     []string             `yaml:"prefixes"`
	Names        []string             `yaml:"names"`
	URIs         []string             `yaml:"uris"`
	Aliases      map[string]fileAlias `yaml:"aliases"`
	Clients      []fileClient         `yaml:"clients"`
	Uplinks      []string             `yaml:"uplinks"`
	OnOverlap    string               `yaml:"on_overlap"`
	OnDNSFailure string               `yaml:"on_dns_failure"`
	Limits       fileLimits           `yaml:"limits"`
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
	TrustedGateway bool                  `yaml:"trusted_gateway"`
}

type fileClientCredentials struct {
	CertNames     []string `yaml:"cert_names"`
	SPKIs         []string `yaml:"spki_sha256"`
	PSKIdentities []string `yaml:"psk_identities"`
}

type fileLimits struct {
	MaxLifetime      *int64 `yaml:"max_lifetime"`
	AllowIndefinite  *bool  `yaml:"allow_indefinite"`
	IndefiniteGrant  *int64 `yaml:"indefinite_grant"`
	MaxMitigations   *int   `yaml:"max_mitigations"`
	MaxCUIDs         *int   `yaml:"max_cuids"`
	MaxNamesInTarget *int   `yaml:"max_names_in_target"`
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
	HeartbeatInterval string `yaml:"heartbeat_interval"`
	MissingHBAllowed  *int   `yaml:"missing_hb_allowed"`
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

package archtest

// module is a dependency, or a part of the standard library, and who may import it.
type module struct {
	// path matches itself and everything below it. The first match decides.
	path string
	// rooms lists the packages that may import it outside test files, in the notation of room.path. "**" is any.
	rooms []string
	// tests says whether every test file may import it.
	tests bool
	// why is told to whoever imports it elsewhere.
	why string
}

// modules returns what may come from outside, and where. A module that is not named here is refused everywhere.
func modules() []module {
	return append(append(protocolModules(), otherModules()...), testModules()...)
}

func protocolModules() []module {
	// The bench measures a bare echo beside ours, and interop sends what no client of ours would.
	sessions := []string{"internal/coap", "internal/front", "internal/record", "internal/bench", "internal/interop", "internal/resilience", "internal/testdtls"}
	coap := []string{"internal/coap"}
	return []module{
		{path: "github.com/pion", rooms: sessions, why: "the DTLS stack can be exchanged only while one room knows it"},
		{path: "github.com/plgd-dev/go-coap/v3/message", rooms: coap, tests: true, why: "message codecs stay behind internal/coap's own types"},
		{path: "github.com/plgd-dev/go-coap/v3/udp/coder", rooms: coap, tests: true, why: "message codecs stay behind internal/coap's own types"},
		{path: "github.com/plgd-dev/go-coap/v3/tcp/coder", rooms: coap, tests: true, why: "message codecs stay behind internal/coap's own types"},
		// The bench has a server and a relay of it as yardsticks.
		{path: "github.com/plgd-dev/go-coap", rooms: []string{"internal/bench"}, why: "go-coap is used for its codecs only: its sessions answer NON with CON, truncate a Block1 body and end on one bad datagram"},
		{path: "github.com/fxamacker/cbor/v2", rooms: []string{"wire", "wire/*"}, tests: true, why: "CBOR ends at the wire: above it there are words"},
		{path: "layeh.com/radius", rooms: []string{"internal/aaa"}, why: "RADIUS packets end at the AAA client, which decides what an authentic one is"},
		{path: "github.com/miekg/dns", rooms: []string{"internal/resolve"}, why: "DNS messages end at the resolver"},
		{path: "github.com/gaissmai/bart", rooms: []string{"policy", "gateway"}, why: "prefix tables belong to decisions"},
	}
}

func otherModules() []module {
	programs := []string{"cmd/*", "internal/app", "internal/admin", "internal/ctl", "internal/lab"}
	concurrent := []string{"downstream", "upstream", "gateway", "store/*", "internal/*"}
	return []module{
		{path: "github.com/prometheus", rooms: []string{"internal/metrics"}, why: "metrics are a seam: elsewhere they are calls with our own types"},
		{path: "modernc.org/sqlite", rooms: []string{"store/sqlite"}, why: "a database is one store among others"},
		{path: "github.com/spf13/cobra", rooms: programs, why: "command lines belong to programs"},
		{path: "github.com/goccy/go-yaml", rooms: []string{"internal/config", "internal/lab"}, why: "YAML is a file format: the program's own types come from internal/config"},
		{path: "github.com/hashicorp/golang-lru/v2", rooms: concurrent, why: "the vocabulary and policy keep no caches"},
		{path: "github.com/osrg/gobgp/v3/api", tests: true, why: "generation 3 gets no repairs any more, and has an open vulnerability: its messages are written by hand, and tests compare"},
		{path: "github.com/osrg/gobgp/v4/api", rooms: []string{"upstream/bgp"}, why: "gobgpd's API ends at the mitigator that asks it"},
		{path: "github.com/osrg/gobgp", why: "gobgpd is a program beside ours: its speaker is not for embedding"},
		{path: "google.golang.org/grpc", rooms: []string{"upstream/bgp"}, why: "gRPC is how gobgpd is asked, and nothing of ours"},
		{path: "google.golang.org/protobuf", rooms: []string{"upstream/bgp"}, tests: true, why: "the messages of gobgpd's API"},
		{path: "golang.org/x/sync", rooms: concurrent, why: "the vocabulary and policy start nothing"},
		{path: "golang.org/x/time", rooms: concurrent, why: "the vocabulary and policy read no clock"},
		{path: "golang.org/x/sys", rooms: []string{"store/sqlite", "internal/coap", "internal/udp", "internal/pressure", "internal/app", "internal/resilience"}, why: "system calls stay at the edges"},
		{path: "golang.org/x/net", rooms: []string{"internal/udp", "internal/resilience"}, why: "packet filters and control messages belong to the sockets"},
		{path: "unsafe", rooms: []string{"internal/udp", "internal/resilience"}, why: "a few system calls have a pointer that no library passes on as it should be: batches of datagrams, and a test that sets a clock"},
	}
}

func testModules() []module {
	return []module{
		{path: "github.com/google/go-cmp", tests: true, why: "comparisons for tests"},
		{path: "github.com/rogpeppe/go-internal", tests: true, why: "scripts for tests"},
		{path: "go.uber.org/goleak", tests: true, why: "leak detection for tests"},
	}
}

// standard lists the parts of the standard library that a pure room must do without.
func standard() []ban {
	return []ban{
		{path: "dots", not: io(), why: "the vocabulary is values: no I/O, no log, no clock of its own"},
		{path: "policy", not: io(), why: "policy is called inside the core's Step, so it must not wait, log or lock"},
		{path: "internal/liveness", not: io(), why: "liveness is told the time and says what is due; it does nothing itself"},
		{path: "wire", not: io(), why: "a codec works on bytes"},
		{path: "wire/*", not: io(), why: "a codec works on bytes"},
	}
}

// ban is a room and the packages of the standard library it must not import outside test files.
type ban struct {
	path string
	not  []string
	why  string
}

func io() []string {
	return []string{"bufio", "context", "database/sql", "log", "log/slog", "net", "net/http", "os", "os/exec", "syscall"}
}

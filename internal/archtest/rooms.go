package archtest

// room is one of our packages, or a family of them, and what it may import of ours.
type room struct {
	// path is relative to the module; a last element "*" stands for every direct child, and a last element
	// ending in "*" for every child with that beginning. "." is the module's root.
	path string
	// may lists the packages it may import, in the same notation. "**" is any of ours.
	may []string
	// inTests lists what only its test files may import besides.
	inTests []string
	// why is told to whoever draws another arrow.
	why string
}

// wires is what a room may import that speaks DOTS to a peer: profiles, sessions, and how the messages of the one travel in
// those of the other, which is the same on both sides of the gateway and for the peers.
func wires(more ...string) []string {
	return append([]string{"dots", "wire", "wire/*", "internal/coap", "internal/carry"}, more...)
}

// helpers is what every test file may import: packages made for tests, and stores that need no disk.
func helpers() []string {
	return []string{"internal/test*", "internal/impair", "store/memory", "store/storetest"}
}

// rooms returns the allowed arrows. The first room whose path matches a package is the package's room.
func rooms() []room {
	return append(append(core(), outside()...), around()...)
}

// core are the rooms that decide.
func core() []room {
	return []room{
		{path: "dots", why: "the vocabulary is at the bottom: everything imports it, so it imports nothing"},
		{path: "policy", may: []string{"dots"}, why: "policy is pure decisions over the vocabulary"},
		{path: "wire", may: []string{"dots"}, why: "a codec turns bytes into words and knows no session"},
		{
			path: "wire/*", may: []string{"dots", "wire"}, inTests: []string{"wire/*"},
			why: "wire profiles are siblings behind one interface and do not know each other",
		},
		{path: "store", why: "a store keeps opaque records, so any core can use any store"},
		{path: "store/*", may: []string{"store"}, why: "a store knows the records' envelope, not their meaning"},
		{
			path: "gateway", may: []string{"dots", "policy", "store"},
			why: "the core is a function of state, time and event; peers reach it through interfaces it declares",
		},
	}
}

// outside are the rooms that talk to peers.
func outside() []room {
	return []room{
		{
			path: "downstream", may: wires("internal/liveness"),
			why: "the server side knows neither the core nor the client side: internal/app joins them",
		},
		{
			path: "downstream/*", may: wires("internal/liveness", "downstream"),
			why: "parts of the server side know the server side only",
		},
		{
			path: "upstream", may: wires("internal/liveness"),
			why: "the client side knows neither the core nor the server side: internal/app joins them",
		},
		{
			path: "upstream/reach", may: []string{"dots", "internal/coap", "upstream"},
			why: "it finds the way to a server, whatever is said there",
		},
		{
			path: "upstream/*", may: wires("internal/liveness", "upstream"),
			why: "parts of the client side know the client side only",
		},
		{
			path: "internal/coap", may: []string{"internal/front", "internal/udp", "internal/record", "internal/throttle", "internal/pressure"},
			why: "CoAP sessions carry anything; DOTS is above them",
		},
		{
			path: "internal/carry", may: []string{"dots", "wire", "internal/coap"},
			why: "it puts a DOTS message into a CoAP message, whatever the profile and whoever speaks",
		},
		{
			path: "internal/front", may: []string{"internal/udp", "internal/record", "internal/throttle", "internal/pressure"},
			why: "the UDP front proves addresses and protects records, and knows nothing of what they carry",
		},
		{path: "internal/udp", why: "datagrams go in and out, whatever they hold"},
		{path: "internal/record", why: "a record is sealed and opened, whoever sent it and whatever it holds"},
		{path: "internal/throttle", why: "it counts addresses and knows no protocol"},
		{path: "internal/pressure", why: "it measures the process and knows nobody who asks"},
		{path: "internal/liveness", why: "heartbeat arithmetic is pure and needs no words of ours"},
		{path: "internal/resolve", why: "DNS answers are addresses, whoever asks"},
		{path: "internal/aaa", why: "an AAA hook answers yes or no, whoever asks"},
	}
}

// around are the programs, their wiring and the tools.
func around() []room {
	return []room{
		{path: "internal/config", may: []string{"dots", "policy"}, why: "the file's types end where policy's begin, which speak the vocabulary; internal/app converts the rest"},
		{path: "internal/admin", may: []string{"dots"}, why: "the operator's socket shows words, and reaches the core through an interface it declares"},
		{path: "internal/metrics", may: []string{"dots"}, why: "metrics are told what happened; they ask nobody"},
		{path: "internal/logging", why: "the log's set-up is used by all and knows none"},
		{
			path: "internal/app", may: []string{"**"}, inTests: []string{"**"},
			why: "the wiring joins what must not know each other",
		},
		{
			path: "internal/lab", may: wires("internal/ctl", "internal/impair"),
			why: "the lab is a peer: it shares the wire with the gateway and none of its decisions; its load and its demonstration are clients, and internal/ctl is the client",
		},
		{
			path: "internal/ctl", may: wires(), inTests: []string{"internal/lab"},
			why: "the client is a peer: it shares the wire with the gateway and none of its decisions",
		},
		{path: "internal/interop", inTests: []string{"**"}, why: "tests against foreign peers: no code outside test files"},
		{path: "internal/bench", inTests: []string{"**"}, why: "benchmarks of the whole: no code outside test files"},
		{path: "internal/resilience", inTests: []string{"**"}, why: "attacks on the whole: no code outside test files"},
		{path: "internal/test*", may: []string{"dots", "wire", "wire/*", "store", "internal/coap", "internal/record"}, why: "test helpers serve every room, so they stand below the rooms"},
		{path: "internal/impair", why: "a bad network mistreats bytes, whatever they mean; the lab and tests use it, the daemon never"},
		{path: "internal/tools/*", why: "the tools read the tree as text, so that they work when it does not compile"},
		{path: "internal/archtest", why: "the rules read import clauses and import nothing they judge"},
		{path: "cmd/dotsgate", may: []string{"internal/app", "internal/admin", "internal/config", "internal/logging"}, inTests: []string{"internal/lab"}, why: "main is flags and an exit code; it reads the configuration that it hands on"},
		{path: "cmd/dotsctl", may: []string{"internal/ctl"}, why: "the client program holds no code of the daemon"},
		{path: "cmd/dotslab", may: []string{"internal/lab"}, why: "the production daemon holds no simulation, so the lab is a program of its own"},
	}
}

package config

// DefaultSocket is where the operator's commands look for a running gateway.
const DefaultSocket = defaultAdmin

// Example is the shortest configuration that works, with comments. A test parses it.
const Example = `# dotsgate: the shortest configuration that works. docs/configuration.md has every setting.
node:
  id: gw1.example.net            # in the list of a 5.08, without spaces
listeners:                       # where clients come in
  - {address: "0.0.0.0:4646", transport: dtls}
  - {address: "0.0.0.0:4646", transport: tls}
credentials:                     # paths are relative to this file
  cert: gateway.pem
  key: gateway.key
  ca: ca.pem                     # who signs clients and servers
uplinks:                         # whom the gateway asks
  - {name: provider, address: "dots.example.net:4646"}
domains:                         # who may ask for what
  - name: example
    prefixes: [192.0.2.0/24, "2001:db8::/48"]
    clients:
      - name: detector1
        credentials: {cert_names: [detector1.example.net]}
store: {path: dotsgate.db}       # what must survive a power cut
`

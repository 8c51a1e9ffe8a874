// Package rfc9132 is the wire profile of RFC 9132, with the attributes of RFC 9133, RFC 9066 and RFC 9362.
//
// There is a file per message. Each holds its CBOR keys' order, its decoder and its encoder; keys.go has the key map.
// Bodies are maps with integer keys, written in ascending order with the shortest heads.
//
// What the standard leaves open is decided as follows.
//   - A target prefix with bits set after its length is refused, not masked: masking would protect more than was named.
//   - A prefix that contains loopback, multicast, broadcast, unspecified or IPv4-mapped addresses is refused, so 0.0.0.0/0 is.
//   - A mid or sid with a leading zero or a sign is refused: one resource has one name.
//   - An If-Match option with a value is refused with 4.00: nothing here has an entity tag to match.
//     An empty one is for PUT mitigate; it is ignored in a GET and refused elsewhere.
//   - A request body may be under tag 271; none is ever sent so.
//   - The payload of a GET or DELETE is ignored, and so are queries other than c in a GET of mitigations.
//   - A comprehension-required key that is known but out of its place is refused as an unknown one is, with its name.
//   - Comprehension-optional keys are kept in a mitigation's scope entry and skipped elsewhere.
//   - The parameters of robust blocks (RFC 9362) count as parameters of a session configuration.
//   - Under c=n a report has the lifetime, which is what remains, besides what is not configuration.
//   - A 4.09 of any cause but a cuid collision repeats the mid beside the conflict.
package rfc9132

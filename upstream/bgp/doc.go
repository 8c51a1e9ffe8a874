// Package bgp is a mitigator of our own that announces routes through a running gobgpd: remotely triggered blackholes (RFC 7999) or
// flowspec rules (RFC 8955, RFC 8956). It asks gobgpd over its API, in the dialect of gobgpd 3 or 4, and holds no BGP speaker.
//
// Routes and attributes cross the API as the bytes of BGP, which both dialects take and give back. So what is announced is written
// once, here, from the RFCs, and a dialect is no more than the names of its calls.
//
// Every route carries a large community that marks it as ours. After a restart of ours the marked routes that no leg is known to
// want are returned by Open under keys of their own, and go after these were stopped, unless a leg has claimed the route meanwhile.
package bgp

// Package downstream is the server side of the gateway: the signal channel that DOTS clients talk to.
//
// A Server answers what concerns one hop only, the session configuration and the heartbeats, and hands what concerns
// mitigations to the Core. It knows no uplink. What one client asked, or is told, is never visible to another: a
// client is known by its credential (RFC 9132, Section 7.2) and reaches what stands under its own name and cuid.
package downstream

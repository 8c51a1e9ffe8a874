// Package lab is the laboratory: a private PKI, a simulated DOTS server with a simulated mitigator, a load generator, and
// the demonstration that plays an attack through a gateway.
//
// It is a peer of the gateway and shares none of its decisions: what the two agree on, they agree on by the wire.
package lab

// Package upstream is the client side of the gateway: one session to each uplink, which makes true what is wanted there.
//
// The wanted set is a level: the core states legs, the session compares them with what the uplink has confirmed and asks
// until it is answered. Loss, restart and a new session are one code path: everything is compared again.
package upstream

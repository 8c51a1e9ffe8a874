// Package upstream is the client side of the gateway: one session to each uplink, which makes true what is wanted there.
//
// The wanted set is a level: the core states legs, the session compares them with what the uplink has confirmed and asks
// until it is answered. Loss, restart and a new session are one code path: everything is compared again.
//
// # A leg on its way
//
// [Manager] hands what is wanted to the line of its uplink: a link (link.go) with a plan, or a local mitigator (local.go). The plan (plan*.go) is pure:
// it knows what is wanted, what was answered, and what is the most urgent thing to ask. A session (session.go) is one loop over one CoAP session: it
// takes jobs from the plan as fast as the session's pace allows, makes each a turn (turn.go) and asks (job.go). CoAP repeats what is not answered
// (internal/coap, pace.go and repeat.go). The answer comes on the session's input path, goes to the plan, and from there to the core ([Events]), in the
// order in which the plan took it. Notifications come the same way (observe.go). So does everything else here: there is no other way to ask for a
// mitigation, or to learn of one.
//
// Under link.mu is all that is decided; nothing waits with it held, and nothing is sent. What is sent is sent after it, by the loop, or by a task of the
// session that run waits for.
//
// # When the path is bad
//
// A session is worth most when the path is worst, so none is given up while it may live. The heartbeats (pulse.go) say how it is, by the rules of
// internal/liveness. Where a session may be better than the one there is, a spare is made beside it (spare.go), and takes over when it stands, without a gap
// and without a word to the core: link.serve goes from one to the next. There are three reasons for one, and one at a time is made:
//
//   - heartbeats go unanswered while something is wanted: the spare is a companion (spare_companion.go). Both are asked, at the rate of one, until one of
//     them brings an answer; the other is closed;
//   - the uplink has sent us to another server, or the time of that is over (redirect*.go: redirect_course.go knows where we are to be, and is pure; a request
//     that is redirected alone is an errand);
//   - the session is over TCP, and UDP has not been tried for long.
//
// A session over UDP may also come late, when TCP was faster (package reach). Where we are is where the session in use was made to, never where one was
// made that was then given up.
//
// Attempts are a minute apart in idle time, whatever they are for (link.pause, [Backoff]).
//
// # What is agreed on
//
// What the session's parameters are to be is negotiated where it is wished, and only while no mitigation is active: negotiation.go says what is asked next
// and is pure, negotiation_session.go asks, negotiation_values.go is about the values. Which of the two sets is in force follows what is wanted, at
// each look of the loop.
package upstream

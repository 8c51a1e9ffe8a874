// Package draft04 is the wire profile of draft-ietf-dots-signal-channel-04: other paths, other CBOR keys, ids in bodies.
//
// The id in a body is the mid of package wire, whatever is asked for; there is no cuid and no cdid. Keys are
// integers except for members to which the draft gives none, which go by their names.
//
// The draft contradicts itself in places. What is done there, in the order of the draft:
//   - target-prefix has no key: it is read and, in an answer, written under its name. A request to a server holds
//     addresses only; a wider prefix is refused with 4.00, since no server can be counted on to understand the name.
//   - scope is a map in the table and an array in every figure: an array is written, a bare map is read as one entry.
//     One request has one entry.
//   - session-id may have 64 bits when read and has at most 31 when written; mitigation-id always has at most 31.
//   - lifetime may be -1 though its CBOR type is unsigned. 0 is refused. What is beyond 31 bits is written as 2^31-1.
//   - Parameters of the session are scalars in a PUT and maps in an answer. CurrentValue, MinValue and
//     MaxValue may be integers or floats. An answer has no signal-config around it; one is read with or without.
//   - mitigation-start is read as an integer or a float and written as a float of whole seconds.
//   - Invalid and unknown parameters are answered 4.02, missing ones 4.00; a 4.02 of a server is read as 4.00.
//   - upper-port is optional. Ranges that share a lower-port are read as one, up to the greatest upper-port.
//   - attack-status makes an efficacy update with or without If-Match, because the figure has none.
//     If-Match without attack-status is refused.
//   - GET and DELETE have bodies, so their format counts as that of a PUT does. Observers of one resource differ by the decoded mid.
//   - A redirection is the raw code 3.00 on the wire and 5.03 with a redirection above it; its least ttl is the Max-Age.
//   - Only the version v1 is spoken.
//
// The rest of the translation:
//   - A protocol 0 means all and is read as none; none is written as 0 and a real 0 cannot be asked for.
//   - A missing lifetime is 3600 except in an efficacy update, where the running one is kept.
//   - Status 6 is not written (a GET of nothing else is answered 4.04), 7 is written as 5, 8 as 1 without counters and start.
//   - 4.09 is written as 4.00 with a text; 4.00 to an efficacy update as 4.02.
//   - The one set of session parameters is read into both of ours; the one for mitigation is written, else the idle one.
//   - Vendor-specific keys, from 32768, are passed over and not kept: elsewhere the same numbers mean something else.
//     Optional attributes, source hints, probing-rate and robust-block parameters are not written. Access lists, and
//     requests for the case of signal loss, cannot be said: that flag is the session's, trigger-mitigation.
package draft04

// Package coap is the CoAP session engine of the gateway: messages, transactions, observations and block-wise
// transfers over DTLS/UDP (RFC 7252) and TLS/TCP (RFC 8323), symmetric, so that either side asks and answers.
package coap

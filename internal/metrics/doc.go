// Package metrics counts what the gateway does and shows it in the Prometheus text format.
//
// It is the only package that knows Prometheus. Callers state facts with typed methods; every label comes from a
// closed set or from the configuration, so nothing a peer sends can make a new time series. The metrics are listed in
// docs/metrics.md, which a test compares with the definitions here. Package dots gives the vocabulary; nothing else of
// the gateway is imported.
package metrics

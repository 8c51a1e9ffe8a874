// Package hook has mitigations done by something of the operator's own: a service behind a signed webhook, or a program. Both are told
// and answer in the same JSON, of which docs/operations.md, "Local mitigators", is the description.
package hook

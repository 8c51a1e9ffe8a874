package rfc9132

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The resources under /.well-known/dots and their path parameters (RFC 9132, Section 4.2 and Section 4.4.1).
const (
	resourceMitigate  = "mitigate"
	resourceConfig    = "config"
	resourceHeartbeat = "hb"
	resourceRedirect  = "redirect"
)

// parameters are what a path names, in the order in which it does.
type parameters struct {
	cdid, cuid string
	mid, sid   dots.Maybe[uint32]
}

// prefix returns the first segments of every path.
func pathPrefix() []string { return []string{".well-known", "dots"} }

// operation tells what a method on a resource is. RFC 9132, Section 3: GET, PUT and DELETE; a heartbeat and a redirection
// are put only.
func operation(resource string, method wire.Method) (wire.Op, error) {
	var ops [4]wire.Op
	switch resource {
	case resourceMitigate:
		ops = [4]wire.Op{wire.GET: wire.GetMitigations, wire.PUT: wire.PutMitigation}
	case resourceConfig:
		ops = [4]wire.Op{wire.GET: wire.GetConfig, wire.PUT: wire.PutConfig}
	case resourceHeartbeat:
		ops = [4]wire.Op{wire.PUT: wire.PutHeartbeat}
	case resourceRedirect:
		ops = [4]wire.Op{wire.PUT: wire.PutRedirect}
	default:
		return 0, dots.Refuse(dots.CodeNotFound, "no such resource")
	}
	switch {
	case method == wire.DELETE && resource == resourceMitigate:
		return wire.DeleteMitigation, nil
	case method == wire.DELETE && resource == resourceConfig:
		return wire.DeleteConfig, nil
	case method < wire.DELETE && ops[method] != 0:
		return ops[method], nil
	}
	return 0, dots.Refuse(dots.CodeMethodNotAllowed, "method not allowed")
}

// allowed returns the parameters of an operation's resource in their order, and those that it must have.
func allowed(op wire.Op) (order, must []string) {
	switch op {
	case wire.PutMitigation, wire.DeleteMitigation:
		return []string{"cdid", "cuid", "mid"}, []string{"cuid", "mid"}
	case wire.GetMitigations:
		return []string{"cdid", "cuid", "mid"}, []string{"cuid"}
	case wire.PutConfig:
		return []string{"sid"}, []string{"sid"}
	case wire.GetConfig, wire.DeleteConfig:
		return []string{"sid"}, nil
	case wire.PutRedirect:
		return []string{"cdid", "cuid", "mid"}, nil
	}
	// RFC 9132, Section 4.7: no cuid, cdid or mid in a heartbeat.
	return nil, nil
}

// readParameters reads the segments after the resource. RFC 9132, Section 4.4.1: each is name=value, the order is
// significant, and an empty value makes the request invalid.
func readParameters(op wire.Op, segments []string) (p parameters, err error) {
	order, must := allowed(op)
	next := 0
	var seen [3]bool
	for _, segment := range segments {
		name, value, found := strings.Cut(segment, "=")
		at := slices.Index(order, name)
		switch {
		case !found || at < 0:
			return p, dots.Refuse(dots.CodeBadRequest, "path: unknown parameter")
		case at < next:
			return p, dots.Refuse(dots.CodeBadRequest, "path: "+name+" twice or out of order")
		}
		if what := wire.CheckText(value); what != "" {
			return p, dots.Refuse(dots.CodeBadRequest, name+": "+what)
		}
		next, seen[at] = at+1, true
		if err := p.set(name, value); err != nil {
			return p, err
		}
	}
	for _, name := range must {
		if !seen[slices.Index(order, name)] {
			return p, dots.Refuse(dots.CodeBadRequest, name+" missing")
		}
	}
	return p, nil
}

func (p *parameters) set(name, value string) (err error) {
	switch name {
	case "cdid":
		p.cdid = value
	case "cuid":
		p.cuid = value
	case "mid":
		p.mid, err = number(name, value)
	case "sid":
		p.sid, err = number(name, value)
	}
	return err
}

// number reads a uint32 in decimal, in the one form that names it.
func number(name, value string) (dots.Maybe[uint32], error) {
	v, err := strconv.ParseUint(value, 10, 32)
	if err != nil || len(value) > 1 && value[0] == '0' {
		return dots.Maybe[uint32]{}, dots.Refuse(dots.CodeBadRequest, name+": not a number of 32 bits")
	}
	return dots.Some(uint32(v)), nil
}

// readFilter reads the c query.
func readFilter(query []string) (wire.Filter, error) {
	filter, wrong := wire.ParseFilter(query)
	if wrong != "" {
		return 0, dots.Refuse(dots.CodeBadRequest, wrong)
	}
	return filter, nil
}

// writePath returns the path of a request.
func writePath(req wire.Request) []string {
	path := append(make([]string, 0, 6), pathPrefix()...)
	switch req.Op {
	case wire.PutConfig, wire.GetConfig, wire.DeleteConfig:
		path = append(path, resourceConfig)
		if req.SID.Set {
			path = append(path, "sid="+strconv.FormatUint(req.SID.Value, 10))
		}
		return path
	case wire.PutHeartbeat:
		return append(path, resourceHeartbeat)
	case wire.PutRedirect:
		path = append(path, resourceRedirect)
	default:
		path = append(path, resourceMitigate)
	}
	if req.CDID != "" {
		path = append(path, "cdid="+req.CDID)
	}
	if req.CUID != "" {
		path = append(path, "cuid="+req.CUID)
	}
	if req.MID.Set {
		path = append(path, "mid="+strconv.FormatUint(uint64(req.MID.Value), 10))
	}
	return path
}

// writeQuery returns the queries of a request.
func writeQuery(req wire.Request) []string {
	if req.Op != wire.GetMitigations {
		return nil
	}
	return req.Filter.Query()
}

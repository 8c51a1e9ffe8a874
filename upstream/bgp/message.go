package bgp

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a protobuf message as bytes. The zero message is an empty one.
type message []byte

// number appends a field with a number.
func (m message) number(field protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

// bytes appends a field with a text, a message or bytes.
func (m message) bytes(field protowire.Number, v []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
}

// fields are those of a message that hold numbers or bytes, in its order. They share the message's memory.
type fields struct {
	numbers map[protowire.Number]uint64
	lists   map[protowire.Number][][]byte
}

// parse takes a message apart; fields of other kinds are passed over.
func parse(b []byte) (fields, error) {
	f := fields{numbers: map[protowire.Number]uint64{}, lists: map[protowire.Number][][]byte{}}
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return f, fmt.Errorf("reading an answer of gobgpd: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if n = f.take(field, kind, b); n < 0 {
			return f, fmt.Errorf("reading an answer of gobgpd: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	return f, nil
}

// take notes the value of a field and returns its length, negative for an error of protowire.
func (f fields) take(field protowire.Number, kind protowire.Type, b []byte) int {
	switch kind {
	case protowire.VarintType:
		v, n := protowire.ConsumeVarint(b)
		f.numbers[field] = v
		return n
	case protowire.BytesType:
		v, n := protowire.ConsumeBytes(b)
		f.lists[field] = append(f.lists[field], v)
		return n
	default:
		return protowire.ConsumeFieldValue(field, kind, b)
	}
}

// number is a field's number; 0 where there is none.
func (f fields) number(field protowire.Number) uint64 { return f.numbers[field] }

// all are the values of a repeated field.
func (f fields) all(field protowire.Number) [][]byte { return f.lists[field] }

// bytes is a field's value, the last where there are several; nil where there is none.
func (f fields) bytes(field protowire.Number) []byte {
	list := f.lists[field]
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// codec lets gRPC carry messages as they are.
type codec struct{}

// Marshal gives the bytes of a *message.
func (codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	return *m, nil
}

// Unmarshal puts bytes into a *message, which keeps them.
func (codec) Unmarshal(b []byte, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("%T is no message", v)
	}
	*m = append(message(nil), b...)
	return nil
}

// Name is what the server is told the bytes are.
func (codec) Name() string { return "proto" }

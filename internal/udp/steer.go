package udp

import (
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/net/bpf"
)

// Where the filter finds things. It begins at the payload; from netHeader on are the network header's bytes (socket filters'
// SKF_NET_OFF), which is how a filter on a bound socket sees the sender.
const (
	netHeader = 0xfff00000

	recordType    = 0  // RFC 6347, Section 4.1: one byte
	recordEpoch   = 3  // two bytes
	handshakeType = 13 // RFC 6347, Section 4.2.2: one byte, the first behind the record's header

	ip4Source = netHeader + 12 // RFC 791, Section 3.1
	ip6Next   = netHeader + 6  // RFC 8200, Section 3
	ip6Source = netHeader + 8
	ip6Header = 40
	udpNext   = 17
)

// Values in records: the content types from change_cipher_spec to tls12_cid (RFC 9146, Section 4), and the handshake message
// client_hello.
const (
	firstType   = 20
	lastType    = 25
	handshake   = 22
	clientHello = 1
)

// steering is the filter of a group of 1 + spread sockets: it returns the number of the one that gets a datagram. Too short
// a datagram ends it with 0.
//
// The hash is multiplied by an odd number that nobody outside knows, so that nobody can aim many flows at one queue.
func steering(spread int) []bpf.Instruction {
	var key [8]byte
	_, _ = rand.Read(key[:]) // it never fails
	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: recordType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstType, SkipTrue: 6},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: lastType, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: handshake, SkipTrue: 5},
		bpf.LoadAbsolute{Off: recordEpoch, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		bpf.LoadAbsolute{Off: handshakeType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientHello, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}
	// The source's address goes into scratch 0, and its port into X.
	four := []bpf.Instruction{
		bpf.LoadAbsolute{Off: ip4Source, Size: 4},
		bpf.StoreScratch{Src: bpf.RegA},
		bpf.LoadAbsolute{Off: netHeader, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.TAX{},
		bpf.LoadIndirect{Off: netHeader, Size: 2},
		bpf.TAX{},
	}
	six := []bpf.Instruction{bpf.LoadAbsolute{Off: ip6Source, Size: 4}}
	for word := uint32(4); word < 16; word += 4 {
		six = append(six, bpf.TAX{}, bpf.LoadAbsolute{Off: ip6Source + word, Size: 4}, bpf.ALUOpX{Op: bpf.ALUOpXor})
	}
	six = append(
		six,
		bpf.StoreScratch{Src: bpf.RegA},
		bpf.LoadConstant{Dst: bpf.RegX}, // behind extension headers, the address alone
		bpf.LoadAbsolute{Off: ip6Next, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: udpNext, SkipTrue: 2},
		bpf.LoadAbsolute{Off: netHeader + ip6Header, Size: 2},
		bpf.TAX{},
		bpf.Jump{Skip: uint32(len(four))},
	)
	prog = append(
		prog,
		bpf.LoadAbsolute{Off: netHeader, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 4, SkipTrue: uint8(len(six))},
	)
	prog = append(append(prog, six...), four...)
	return append(
		prog,
		bpf.LoadScratch{Dst: bpf.RegA},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: binary.NativeEndian.Uint32(key[:]) | 1},
		bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: binary.NativeEndian.Uint32(key[4:]) | 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(spread)},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1},
		bpf.RetA{},
	)
}

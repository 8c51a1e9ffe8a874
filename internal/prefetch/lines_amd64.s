#include "textflag.h"

// func lines(p unsafe.Pointer, from, to uintptr)
TEXT ·lines(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), AX
	MOVQ from+8(FP), BX
	MOVQ to+16(FP), CX
	ADDQ AX, BX
	ADDQ AX, CX
	ANDQ $~63, BX

next:
	CMPQ BX, CX
	JCC  done
	PREFETCHT0 (BX)
	ADDQ $64, BX
	JMP  next

done:
	RET

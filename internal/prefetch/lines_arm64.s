#include "textflag.h"

// func lines(p unsafe.Pointer, from, to uintptr)
TEXT ·lines(SB), NOSPLIT, $0-24
	MOVD p+0(FP), R0
	MOVD from+8(FP), R1
	MOVD to+16(FP), R2
	ADD  R0, R1
	ADD  R0, R2
	AND  $~63, R1

next:
	CMP  R2, R1
	BHS  done
	PRFM (R1), PLDL1KEEP
	ADD  $64, R1
	B    next

done:
	RET

noinst_LIBRARIES += libi386.a
libi386_a_SOURCES =
# instructions: decoding, lowering, integer helpers
libi386_a_SOURCES += targets/i386/decode.c targets/i386/insn.h targets/i386/block_mode.c targets/i386/lower.c targets/i386/lower.h \
	targets/i386/lowering.h targets/i386/lower_operands.c targets/i386/lower_stack.c targets/i386/lower_integer.c targets/i386/lower_bits.c targets/i386/lower_svm.c \
	targets/i386/xsave.c targets/i386/lower_simd.c targets/i386/lower_simd_move.c targets/i386/lower_simd.h targets/i386/lower_x87.c \
	targets/i386/helpers.h targets/i386/integer.c targets/i386/flow.c targets/i386/string.c
# system: paging, segments, tasks, exceptions, system instructions, wiring
libi386_a_SOURCES += targets/i386/cpu.h targets/i386/protect.h targets/i386/mmu.c targets/i386/segment.c \
	targets/i386/task.c targets/i386/exception.c targets/i386/quick.c targets/i386/long.c targets/i386/smm.c targets/i386/pmu.c \
	targets/i386/svm.h targets/i386/svm.c targets/i386/system.c targets/i386/msr.c targets/i386/lbr.c \
	targets/i386/cpuid.c targets/i386/model.c targets/i386/model_flags.c targets/i386/model.h targets/i386/cpu.c \
	targets/i386/regs.c
# x87, MMX, SSE, AVX
libi386_a_SOURCES += targets/i386/fpu.h targets/i386/fpu.c targets/i386/fpu_env.c targets/i386/sse.h \
	targets/i386/mmx.c targets/i386/sse.c targets/i386/sse_float.c
libi386_a_SOURCES += targets/i386/simd.h targets/i386/simd_map.c targets/i386/vector.h targets/i386/vector.c targets/i386/avx.c \
	targets/i386/crypto.c targets/i386/strings42.c
include targets/i386/pc/local.mk
include targets/i386/boot/local.mk

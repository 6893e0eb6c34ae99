noinst_LIBRARIES += libaarch64.a
libaarch64_a_SOURCES = targets/aarch64/cpu.h
# instructions: decoding, lowering, helpers
libaarch64_a_SOURCES += targets/aarch64/a64.def targets/aarch64/insn.h targets/aarch64/decode.c \
	targets/aarch64/lower.h targets/aarch64/lowering.h targets/aarch64/lower.c targets/aarch64/lower_mem.c \
	targets/aarch64/helpers.c
# system: exceptions, translation, system registers, debug, wiring
# floating point and SIMD
# board and loaders
libaarch64_a_SOURCES += targets/aarch64/virt.h

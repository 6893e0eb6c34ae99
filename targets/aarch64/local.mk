noinst_LIBRARIES += libaarch64.a
libaarch64_a_SOURCES = targets/aarch64/cpu.h
# instructions: decoding, lowering, helpers
libaarch64_a_SOURCES += targets/aarch64/a64.def targets/aarch64/insn.h targets/aarch64/decode.c \
	targets/aarch64/lower.h targets/aarch64/lowering.h targets/aarch64/lower.c targets/aarch64/lower_mem.c \
	targets/aarch64/lower_simd.c \
	targets/aarch64/helpers.c
# system: exceptions, translation, system registers, debug, wiring
libaarch64_a_SOURCES += targets/aarch64/system.h targets/aarch64/mmu.c targets/aarch64/exception.c \
	targets/aarch64/sysreg.c targets/aarch64/debug.c targets/aarch64/timer.c targets/aarch64/pmu.c targets/aarch64/model.c \
	targets/aarch64/cpu.c targets/aarch64/regs.c
# floating point and SIMD
libaarch64_a_SOURCES += targets/aarch64/fp.h targets/aarch64/fp.c targets/aarch64/fp_arith.c \
	targets/aarch64/simd.c targets/aarch64/simd_shift.c targets/aarch64/simd_fp.c targets/aarch64/crypto.c
# board and loaders
libaarch64_a_SOURCES += targets/aarch64/virt.h targets/aarch64/virt/board.h targets/aarch64/virt/dtb.c \
	targets/aarch64/virt/gic.c targets/aarch64/virt/gic.h targets/aarch64/virt/gic_virt.c \
	targets/aarch64/virt/gicv2.c targets/aarch64/virt/gicv2m.c targets/aarch64/virt/gicv2m.h \
	targets/aarch64/virt/gicv3.c targets/aarch64/virt/its.c targets/aarch64/virt/its.h \
	targets/aarch64/virt/lpi.c targets/aarch64/virt/lpi.h targets/aarch64/virt/psci.c \
	targets/aarch64/virt/semihost.c targets/aarch64/virt/semihost.h targets/aarch64/virt/semihost_files.c \
	targets/aarch64/virt/virt.c \
	targets/aarch64/boot/boot.c targets/aarch64/boot/boot.h targets/aarch64/boot/elf.c \
	targets/aarch64/boot/gzip.c targets/aarch64/boot/image.c

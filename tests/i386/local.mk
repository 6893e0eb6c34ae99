# Files of tests/i386/

# The i386 instruction decoder.
if HAVE_CHECK
check_PROGRAMS += tests/i386/test_i386_decode
TESTS += tests/i386/test_i386_decode
tests_i386_test_i386_decode_SOURCES = tests/check_main.c tests/i386/test_i386_decode.c
tests_i386_test_i386_decode_LDADD = libi386.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# Claims about instructions: faults, strings cut at any step, limits, 16-bit code.
check_PROGRAMS += tests/i386/test_i386_insn
TESTS += tests/i386/test_i386_insn
tests_i386_test_i386_insn_SOURCES = tests/check_main.c tests/i386/test_i386_insn.c tests/i386/i386_bench.h tests/whole/with_jit.h
tests_i386_test_i386_insn_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
# Random integer instructions on the host's processor and on the emulator.
check_PROGRAMS += tests/i386/difftest_host
TESTS += tests/i386/difftest_host
tests_i386_difftest_host_SOURCES = tests/i386/difftest_host.c tests/i386/i386_host.c tests/i386/i386_host.h tests/i386/i386_undefined.h tests/whole/with_jit.h
tests_i386_difftest_host_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
# The same in 64-bit mode.
check_PROGRAMS += tests/i386/difftest_host64
TESTS += tests/i386/difftest_host64
tests_i386_difftest_host64_SOURCES = tests/i386/difftest_host64.c tests/i386/host64.c tests/i386/host64.h tests/i386/i386_undefined.h tests/whole/with_jit.h
tests_i386_difftest_host64_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
# Instructions on XMM and YMM registers.
check_PROGRAMS += tests/i386/difftest_simd
TESTS += tests/i386/difftest_simd
tests_i386_difftest_simd_SOURCES = tests/i386/difftest_simd.c tests/i386/host64.c tests/i386/host64.h tests/whole/with_jit.h
tests_i386_difftest_simd_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
# The x87.
check_PROGRAMS += tests/i386/difftest_x87
TESTS += tests/i386/difftest_x87
tests_i386_difftest_x87_SOURCES = tests/i386/difftest_x87.c tests/i386/host64.c tests/i386/host64.h tests/softfloat/host_fpu.h tests/whole/with_jit.h
tests_i386_difftest_x87_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
# Every opcode: which exist, and how long they are.
check_PROGRAMS += tests/i386/difftest_opcodes
TESTS += tests/i386/difftest_opcodes
tests_i386_difftest_opcodes_SOURCES = tests/i386/difftest_opcodes.c tests/i386/i386_host.c tests/i386/i386_host.h tests/i386/i386_user.c tests/i386/i386_user.h
tests_i386_difftest_opcodes_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
# Random 16-bit code on libunicorn and on the emulator.
if HAVE_UNICORN
check_PROGRAMS += tests/i386/difftest_unicorn
TESTS += tests/i386/difftest_unicorn
tests_i386_difftest_unicorn_SOURCES = tests/i386/difftest_unicorn.c tests/i386/i386_undefined.h
tests_i386_difftest_unicorn_CFLAGS = $(AM_CFLAGS) $(UNICORN_CFLAGS)
tests_i386_difftest_unicorn_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(UNICORN_LIBS) $(HC_SYSLIBS)
endif
if !HAVE_UNICORN
EXTRA_DIST += tests/i386/difftest_unicorn.c
endif
# The i386 system side, by subject.
if HAVE_CHECK
check_PROGRAMS += tests/i386/test_i386_transfers
TESTS += tests/i386/test_i386_transfers
tests_i386_test_i386_transfers_SOURCES = tests/check_main.c tests/i386/test_i386_transfers.c tests/i386/i386_fixture.h tests/i386/i386_bench.h
tests_i386_test_i386_transfers_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_limits
TESTS += tests/i386/test_i386_limits
tests_i386_test_i386_limits_SOURCES = tests/check_main.c tests/i386/test_i386_limits.c tests/i386/i386_bench.h tests/whole/with_jit.h
tests_i386_test_i386_limits_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_oracle
TESTS += tests/i386/test_i386_oracle
tests_i386_test_i386_oracle_SOURCES = tests/check_main.c tests/i386/test_i386_oracle.c tests/i386/i386_oracle.c tests/i386/i386_oracle.h \
	tests/i386/i386_bench.h tests/i386/i386_bench64.h
tests_i386_test_i386_oracle_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_tasks
TESTS += tests/i386/test_i386_tasks
tests_i386_test_i386_tasks_SOURCES = tests/check_main.c tests/i386/test_i386_tasks.c tests/i386/i386_fixture.h tests/i386/i386_bench.h
tests_i386_test_i386_tasks_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_paging
TESTS += tests/i386/test_i386_paging
tests_i386_test_i386_paging_SOURCES = tests/check_main.c tests/i386/test_i386_paging.c tests/i386/i386_fixture.h tests/i386/i386_bench.h tests/whole/with_jit.h
tests_i386_test_i386_paging_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_walks
TESTS += tests/i386/test_i386_walks
tests_i386_test_i386_walks_SOURCES = tests/check_main.c tests/i386/test_i386_walks.c tests/i386/i386_bench.h tests/i386/i386_bench64.h
tests_i386_test_i386_walks_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_debug
TESTS += tests/i386/test_i386_debug
tests_i386_test_i386_debug_SOURCES = tests/check_main.c tests/i386/test_i386_debug.c tests/i386/i386_fixture.h tests/i386/i386_bench.h
tests_i386_test_i386_debug_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_system
TESTS += tests/i386/test_i386_system
tests_i386_test_i386_system_SOURCES = tests/check_main.c tests/i386/test_i386_system.c tests/i386/i386_fixture.h tests/i386/i386_bench.h
tests_i386_test_i386_system_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# The system side of long mode.
check_PROGRAMS += tests/i386/test_i386_long
TESTS += tests/i386/test_i386_long
tests_i386_test_i386_long_SOURCES = tests/check_main.c tests/i386/test_i386_long.c tests/i386/i386_bench.h tests/i386/i386_bench64.h
tests_i386_test_i386_long_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# Where calls come back to, compiled and interpreted.
check_PROGRAMS += tests/i386/test_i386_returns
TESTS += tests/i386/test_i386_returns
tests_i386_test_i386_returns_SOURCES = tests/check_main.c tests/i386/test_i386_returns.c tests/i386/i386_bench.h tests/i386/i386_fixture.h tests/whole/with_jit.h
tests_i386_test_i386_returns_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# Transfers in their usual shape against all of the rules.
check_PROGRAMS += tests/i386/test_i386_quick
TESTS += tests/i386/test_i386_quick
tests_i386_test_i386_quick_SOURCES = tests/check_main.c tests/i386/test_i386_quick.c tests/i386/i386_bench.h tests/i386/i386_bench64.h
tests_i386_test_i386_quick_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# XSAVE and its like.
check_PROGRAMS += tests/i386/test_i386_xsave
TESTS += tests/i386/test_i386_xsave
tests_i386_test_i386_xsave_SOURCES = tests/check_main.c tests/i386/test_i386_xsave.c tests/i386/i386_bench.h tests/i386/i386_bench64.h
tests_i386_test_i386_xsave_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# Model-specific registers, bit by bit; last branches.
check_PROGRAMS += tests/i386/test_i386_msr
TESTS += tests/i386/test_i386_msr
tests_i386_test_i386_msr_SOURCES = tests/check_main.c tests/i386/test_i386_msr.c tests/i386/i386_bench.h tests/i386/i386_bench64.h tests/whole/with_jit.h
tests_i386_test_i386_msr_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# Instructions that models have or lack.
# Performance counters.
check_PROGRAMS += tests/i386/test_i386_pmu
TESTS += tests/i386/test_i386_pmu
tests_i386_test_i386_pmu_SOURCES = tests/check_main.c tests/i386/test_i386_pmu.c tests/i386/i386_bench.h tests/whole/with_jit.h
tests_i386_test_i386_pmu_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_i386_features
TESTS += tests/i386/test_i386_features
tests_i386_test_i386_features_SOURCES = tests/check_main.c tests/i386/test_i386_features.c tests/i386/i386_bench.h tests/whole/with_jit.h
tests_i386_test_i386_features_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# Which instructions are compiled, and which are calls.
if HAVE_JIT
check_PROGRAMS += tests/i386/test_i386_calls
TESTS += tests/i386/test_i386_calls
tests_i386_test_i386_calls_SOURCES = tests/check_main.c tests/i386/test_i386_calls.c tests/i386/i386_bench.h tests/i386/i386_bench64.h tests/whole/with_jit.h
tests_i386_test_i386_calls_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
# Instructions that are refused in mid-block and run again alone.
check_PROGRAMS += tests/i386/test_i386_restart
TESTS += tests/i386/test_i386_restart
tests_i386_test_i386_restart_SOURCES = tests/check_main.c tests/i386/test_i386_restart.c tests/i386/i386_bench.h
tests_i386_test_i386_restart_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# System management mode.
check_PROGRAMS += tests/i386/test_i386_smm
TESTS += tests/i386/test_i386_smm
tests_i386_test_i386_smm_SOURCES = tests/check_main.c tests/i386/test_i386_smm.c tests/i386/i386_bench.h tests/i386/i386_bench64.h tests/whole/with_jit.h
tests_i386_test_i386_smm_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# The PC's chips and boot loaders.
check_PROGRAMS += tests/i386/test_pc_chips
TESTS += tests/i386/test_pc_chips
tests_i386_test_pc_chips_SOURCES = tests/check_main.c tests/i386/test_pc_chips.c tests/whole/chip_bench.h
tests_i386_test_pc_chips_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_apic_cpus
TESTS += tests/i386/test_apic_cpus
tests_i386_test_apic_cpus_SOURCES = tests/check_main.c tests/i386/test_apic_cpus.c tests/whole/chip_bench.h
tests_i386_test_apic_cpus_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pc_lines
TESTS += tests/i386/test_pc_lines
tests_i386_test_pc_lines_SOURCES = tests/check_main.c tests/i386/test_pc_lines.c tests/whole/chip_bench.h
tests_i386_test_pc_lines_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pc_board
TESTS += tests/i386/test_pc_board
tests_i386_test_pc_board_SOURCES = tests/check_main.c tests/i386/test_pc_board.c tests/whole/chip_bench.h
tests_i386_test_pc_board_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pcspk
TESTS += tests/i386/test_pcspk
tests_i386_test_pcspk_SOURCES = tests/check_main.c tests/i386/test_pcspk.c tests/whole/chip_bench.h
tests_i386_test_pcspk_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_hpet
TESTS += tests/i386/test_hpet
tests_i386_test_hpet_SOURCES = tests/check_main.c tests/i386/test_hpet.c tests/whole/chip_bench.h
tests_i386_test_hpet_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pc_boot64
TESTS += tests/i386/test_pc_boot64
tests_i386_test_pc_boot64_SOURCES = tests/check_main.c tests/i386/test_pc_boot64.c
tests_i386_test_pc_boot64_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pc_firmware
TESTS += tests/i386/test_pc_firmware
tests_i386_test_pc_firmware_SOURCES = tests/check_main.c tests/i386/test_pc_firmware.c
tests_i386_test_pc_firmware_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pc_boot
TESTS += tests/i386/test_pc_boot
tests_i386_test_pc_boot_SOURCES = tests/check_main.c tests/i386/test_pc_boot.c
tests_i386_test_pc_boot_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/i386/test_pc_vga
TESTS += tests/i386/test_pc_vga
tests_i386_test_pc_vga_SOURCES = tests/check_main.c tests/i386/test_pc_vga.c
tests_i386_test_pc_vga_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# The floppy controller and DMA.
check_PROGRAMS += tests/i386/test_pc_fdc
TESTS += tests/i386/test_pc_fdc
tests_i386_test_pc_fdc_SOURCES = tests/check_main.c tests/i386/test_pc_fdc.c tests/whole/chip_bench.h
tests_i386_test_pc_fdc_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# XMM and YMM registers: availability, alignment, faults, masks.
check_PROGRAMS += tests/i386/test_i386_simd
TESTS += tests/i386/test_i386_simd
tests_i386_test_i386_simd_SOURCES = tests/check_main.c tests/i386/test_i386_simd.c tests/i386/i386_bench.h tests/whole/with_jit.h
tests_i386_test_i386_simd_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
# x87 and MMX helpers, with a fake machine around them.
check_PROGRAMS += tests/i386/test_i386_fpu
TESTS += tests/i386/test_i386_fpu
tests_i386_test_i386_fpu_SOURCES = tests/check_main.c tests/i386/test_i386_fpu.c tests/softfloat/host_fpu.h targets/i386/fpu.c targets/i386/fpu_env.c \
	targets/i386/mmx.c targets/i386/sse.c targets/i386/sse_float.c targets/i386/vector.c targets/i386/model.c src/vm/flags.c
tests_i386_test_i386_fpu_LDADD = libsoftfloat.a libbase.a $(CHECK_LIBS)
endif

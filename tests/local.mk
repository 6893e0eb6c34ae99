# Files of tests/

if HAVE_CHECK
check_PROGRAMS += tests/test_softfloat
TESTS += tests/test_softfloat
tests_test_softfloat_SOURCES = tests/test_softfloat.c tests/host_fpu.h
tests_test_softfloat_LDADD = libsoftfloat.a $(CHECK_LIBS)
endif

if HAVE_CHECK
check_PROGRAMS += tests/test_host
TESTS += tests/test_host
tests_test_host_SOURCES = tests/test_host.c
tests_test_host_LDADD = libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# The i386 instruction decoder.
if HAVE_CHECK
check_PROGRAMS += tests/test_i386_decode
TESTS += tests/test_i386_decode
tests_test_i386_decode_SOURCES = tests/test_i386_decode.c
tests_test_i386_decode_LDADD = libi386.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# Claims about instructions: faults, strings cut at any step, limits, 16-bit code.
if HAVE_CHECK
check_PROGRAMS += tests/test_i386_insn
TESTS += tests/test_i386_insn
tests_test_i386_insn_SOURCES = tests/test_i386_insn.c tests/i386_bench.h
tests_test_i386_insn_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# Random integer instructions on the host's processor and on the emulator.
check_PROGRAMS += tests/difftest_host
TESTS += tests/difftest_host
tests_difftest_host_SOURCES = tests/difftest_host.c tests/i386_host.c tests/i386_host.h tests/i386_undefined.h tests/with_jit.h
tests_difftest_host_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)

# Random 16-bit code on libunicorn and on the emulator.
if HAVE_UNICORN
check_PROGRAMS += tests/difftest_unicorn
TESTS += tests/difftest_unicorn
tests_difftest_unicorn_SOURCES = tests/difftest_unicorn.c tests/i386_undefined.h
tests_difftest_unicorn_CFLAGS = $(AM_CFLAGS) $(UNICORN_CFLAGS)
tests_difftest_unicorn_LDADD = libi386.a libvm.a libsoftfloat.a libhost.a libbase.a $(UNICORN_LIBS) $(HC_SYSLIBS)
else
EXTRA_DIST += tests/difftest_unicorn.c
endif

# The execution core. It runs the toy CPU of vm_toy.h.
if HAVE_CHECK
check_PROGRAMS += tests/test_vm_exec
TESTS += tests/test_vm_exec
tests_test_vm_exec_SOURCES = tests/test_vm_exec.c tests/vm_toy.c tests/vm_toy.h
tests_test_vm_exec_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_vm_jit
TESTS += tests/test_vm_jit
tests_test_vm_jit_SOURCES = tests/test_vm_jit.c
tests_test_vm_jit_LDADD = libvm.a libsoftfloat.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_vm
TESTS += tests/test_vm
tests_test_vm_SOURCES = tests/test_vm.c tests/vm_toy.c tests/vm_toy.h
tests_test_vm_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_vm_uops
TESTS += tests/test_vm_uops
tests_test_vm_uops_SOURCES = tests/test_vm_uops.c tests/vm_toy.c tests/vm_toy.h
tests_test_vm_uops_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# The i386 system side: faults, segments, tasks, paging, debug, interrupts, registers.
if HAVE_CHECK
check_PROGRAMS += tests/test_i386_system
TESTS += tests/test_i386_system
tests_test_i386_system_SOURCES = tests/test_i386_system.c tests/i386_bench.h
tests_test_i386_system_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# The protocol layer.
if HAVE_CHECK
RSP_TESTS = tests/test_rsp tests/test_rsp_agent tests/test_rsp_monitor tests/test_rsp_fuzz
check_PROGRAMS += $(RSP_TESTS) tests/test_rsp_stdio
TESTS += $(RSP_TESTS) tests/test_rsp_gdb.sh
RSP_FAKE = tests/test_rsp_client.c tests/test_rsp_client.h tests/test_rsp_fake.c tests/test_rsp_fake.h
RSP_LIBS = librsp.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
tests_test_rsp_SOURCES = tests/test_rsp.c $(RSP_FAKE)
tests_test_rsp_LDADD = $(RSP_LIBS)
tests_test_rsp_agent_SOURCES = tests/test_rsp_agent.c
tests_test_rsp_agent_LDADD = $(RSP_LIBS)
tests_test_rsp_monitor_SOURCES = tests/test_rsp_monitor.c $(RSP_FAKE)
tests_test_rsp_monitor_LDADD = $(RSP_LIBS)
tests_test_rsp_fuzz_SOURCES = tests/test_rsp_fuzz.c $(RSP_FAKE)
tests_test_rsp_fuzz_LDADD = $(RSP_LIBS)
tests_test_rsp_stdio_SOURCES = tests/test_rsp_stdio.c tests/test_rsp_fake.c tests/test_rsp_fake.h
tests_test_rsp_stdio_LDADD = librsp.a libbase.a
endif
EXTRA_DIST += tests/test_rsp_gdb.sh

# Log, checkpoints, timeline.
if HAVE_CHECK
REPLAY_TESTS = tests/test_log tests/test_checkpoint tests/test_timeline tests/test_timeline_claims tests/test_timeline_exec \
	tests/test_recording tests/test_diverge
check_PROGRAMS += $(REPLAY_TESTS)
TESTS += $(REPLAY_TESTS)
REPLAY_LIBS = libreplay.a libcheckpoint.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
tests_test_log_SOURCES = tests/test_log.c tests/toy.c tests/toy.h
tests_test_log_LDADD = $(REPLAY_LIBS)
tests_test_checkpoint_SOURCES = tests/test_checkpoint.c tests/toy.c tests/toy.h
tests_test_checkpoint_LDADD = $(REPLAY_LIBS)
tests_test_timeline_SOURCES = tests/test_timeline.c tests/toy.c tests/toy.h
tests_test_timeline_LDADD = $(REPLAY_LIBS)
tests_test_timeline_claims_SOURCES = tests/test_timeline_claims.c tests/toy.c tests/toy.h
tests_test_timeline_claims_LDADD = $(REPLAY_LIBS)
tests_test_timeline_exec_SOURCES = tests/test_timeline_exec.c tests/vm_toy.c tests/vm_toy.h
tests_test_timeline_exec_LDADD = $(REPLAY_LIBS)
tests_test_recording_SOURCES = tests/test_recording.c tests/recording_bench.h tests/toy.c tests/toy.h
tests_test_diverge_SOURCES = tests/test_diverge.c tests/recording_bench.h tests/toy.c tests/toy.h
tests_test_diverge_LDADD = $(REPLAY_LIBS)
tests_test_recording_LDADD = $(REPLAY_LIBS)
endif
# The reader of recordings against files that are none.
check_PROGRAMS += tests/fuzz_recording
tests_fuzz_recording_SOURCES = tests/fuzz_recording.c
tests_fuzz_recording_LDADD = libreplay.a libvm.a libbase.a $(HC_SYSLIBS)
TESTS += tests/fuzz_recording.sh
# Machines against states that none of them was ever in.
check_PROGRAMS += tests/fuzz_state
tests_fuzz_state_SOURCES = tests/fuzz_state.c
tests_fuzz_state_LDADD = libreplay.a libcheckpoint.a libi386.a libaarch64.a libsoftfloat.a libvm.a libbase.a $(HC_SYSLIBS)
TESTS += tests/fuzz_state.sh
EXTRA_DIST += tests/fuzz_state.sh
EXTRA_DIST += tests/fuzz_recording.sh tests/corpus/recording
# Guests run without a server; the i386 system side against QEMU.
check_PROGRAMS += tests/run_guest
tests_run_guest_SOURCES = tests/run_guest.c
tests_run_guest_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
TESTS += tests/guests/system_diff.sh
EXTRA_DIST += tests/guests/system_diff.sh tests/guests/system_diff.c

# The PC's chips and boot loaders.
if HAVE_CHECK
check_PROGRAMS += tests/test_pc_chips
TESTS += tests/test_pc_chips
tests_test_pc_chips_SOURCES = tests/test_pc_chips.c tests/chip_bench.h
tests_test_pc_chips_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_pc_lines
TESTS += tests/test_pc_lines
tests_test_pc_lines_SOURCES = tests/test_pc_lines.c tests/chip_bench.h
tests_test_pc_lines_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_pc_board
TESTS += tests/test_pc_board
tests_test_pc_board_SOURCES = tests/test_pc_board.c tests/chip_bench.h
tests_test_pc_board_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_pc_boot
TESTS += tests/test_pc_boot
tests_test_pc_boot_SOURCES = tests/test_pc_boot.c
tests_test_pc_boot_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_pc_vga
TESTS += tests/test_pc_vga
tests_test_pc_vga_SOURCES = tests/test_pc_vga.c
tests_test_pc_vga_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# x87, MMX and SSE helpers, with a fake machine around them.
if HAVE_CHECK
check_PROGRAMS += tests/test_i386_fpu
TESTS += tests/test_i386_fpu
tests_test_i386_fpu_SOURCES = tests/test_i386_fpu.c tests/host_fpu.h targets/i386/fpu.c targets/i386/fpu_env.c \
	targets/i386/mmx.c targets/i386/sse.c targets/i386/sse_float.c src/vm/flags.c
tests_test_i386_fpu_LDADD = libsoftfloat.a libbase.a $(CHECK_LIBS)
endif
# The same through the whole emulator (with run_guest, above), against a program on the host.
TESTS += tests/guests/fpu_diff.sh
EXTRA_DIST += tests/guests/fpu_diff.sh tests/guests/fpu_diff.c
# The same state whatever the engine; tests/guests runs it with Debian kernels.
check_PROGRAMS += tests/engines
tests_engines_SOURCES = tests/engines.c
tests_engines_LDADD = libi386.a libaarch64.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
TESTS += tests/engines.sh
EXTRA_DIST += tests/engines.sh

# A64: the decoder, and random instruction streams on libunicorn and on the emulator.
if HAVE_CHECK
check_PROGRAMS += tests/test_a64_decode
TESTS += tests/test_a64_decode
tests_test_a64_decode_SOURCES = tests/test_a64_decode.c
tests_test_a64_decode_LDADD = libaarch64.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_a64_system
TESTS += tests/test_a64_system
tests_test_a64_system_SOURCES = tests/test_a64_system.c tests/a64_fixture.h tests/a64_bench.h tests/a64_flat.h
tests_test_a64_system_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_a64_debug
TESTS += tests/test_a64_debug
tests_test_a64_debug_SOURCES = tests/test_a64_debug.c tests/a64_bench.h
tests_test_a64_debug_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_a64_pmu
TESTS += tests/test_a64_pmu
tests_test_a64_pmu_SOURCES = tests/test_a64_pmu.c tests/a64_fixture.h tests/a64_bench.h
tests_test_a64_pmu_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_a64_traps
TESTS += tests/test_a64_traps
tests_test_a64_traps_SOURCES = tests/test_a64_traps.c tests/a64_fixture.h tests/a64_bench.h tests/a64_flat.h
tests_test_a64_traps_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_a64_align
TESTS += tests/test_a64_align
tests_test_a64_align_SOURCES = tests/test_a64_align.c tests/a64_bench.h tests/a64_flat.h tests/with_jit.h
tests_test_a64_align_LDADD = libaarch64.a libvm.a libhost.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_a64_insn
TESTS += tests/test_a64_insn
tests_test_a64_insn_SOURCES = tests/test_a64_insn.c tests/a64_flat.h
tests_test_a64_insn_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
check_PROGRAMS += tests/difftest_a64
TESTS += tests/difftest_a64
tests_difftest_a64_SOURCES = tests/difftest_a64.c tests/difftest_a64.h tests/a64_flat.h tests/difftest_a64_integer.c \
	tests/difftest_a64_fp.c
tests_difftest_a64_LDADD = libaarch64.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
if HAVE_UNICORN
tests_difftest_a64_CFLAGS = $(AM_CFLAGS) $(UNICORN_CFLAGS) -DHAVE_UNICORN
tests_difftest_a64_LDADD += $(UNICORN_LIBS)
endif

# A64 floating point, SIMD and cryptographic helpers, against libunicorn.
if HAVE_UNICORN
check_PROGRAMS += tests/test_a64_fp
TESTS += tests/test_a64_fp
tests_test_a64_fp_SOURCES = tests/test_a64_fp.c targets/aarch64/fp.c targets/aarch64/fp_arith.c \
	targets/aarch64/simd.c targets/aarch64/simd_shift.c targets/aarch64/simd_fp.c targets/aarch64/crypto.c
tests_test_a64_fp_CPPFLAGS = $(AM_CPPFLAGS) -DHAVE_UNICORN
tests_test_a64_fp_CFLAGS = $(AM_CFLAGS) $(UNICORN_CFLAGS)
tests_test_a64_fp_LDADD = libsoftfloat.a libbase.a $(UNICORN_LIBS)
endif
EXTRA_DIST += tests/test_a64_fp.c

EXTRA_DIST += tests/test_a64_insn.c tests/a64_flat.h tests/difftest_a64.c tests/difftest_a64.h tests/difftest_a64_integer.c tests/difftest_a64_fp.c

# The security states of the virt board, against QEMU.
TESTS += tests/guests/secure_diff.sh
EXTRA_DIST += tests/guests/secure_diff.sh tests/guests/secure_diff.c

# The virt board's chips.
if HAVE_CHECK
check_PROGRAMS += tests/test_virt_chips
TESTS += tests/test_virt_chips
tests_test_virt_chips_SOURCES = tests/test_virt_chips.c
tests_test_virt_chips_LDADD = libaarch64.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_virt_boot
TESTS += tests/test_virt_boot
tests_test_virt_boot_SOURCES = tests/test_virt_boot.c
tests_test_virt_boot_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/test_semihosting
TESTS += tests/test_semihosting
tests_test_semihosting_SOURCES = tests/test_semihosting.c
tests_test_semihosting_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif


# Files of tests/aarch64/

# A64: the decoder, and random instruction streams on libunicorn and on the emulator.
if HAVE_CHECK
check_PROGRAMS += tests/aarch64/test_a64_decode
TESTS += tests/aarch64/test_a64_decode
tests_aarch64_test_a64_decode_SOURCES = tests/check_main.c tests/aarch64/test_a64_decode.c
tests_aarch64_test_a64_decode_LDADD = libaarch64.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_a64_system
TESTS += tests/aarch64/test_a64_system
tests_aarch64_test_a64_system_SOURCES = tests/check_main.c tests/aarch64/test_a64_system.c tests/aarch64/a64_fixture.h tests/aarch64/a64_bench.h tests/aarch64/a64_flat.h
tests_aarch64_test_a64_system_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_a64_debug
TESTS += tests/aarch64/test_a64_debug
tests_aarch64_test_a64_debug_SOURCES = tests/check_main.c tests/aarch64/test_a64_debug.c tests/aarch64/a64_bench.h
tests_aarch64_test_a64_debug_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_a64_pmu
TESTS += tests/aarch64/test_a64_pmu
tests_aarch64_test_a64_pmu_SOURCES = tests/check_main.c tests/aarch64/test_a64_pmu.c tests/aarch64/a64_fixture.h tests/aarch64/a64_bench.h
tests_aarch64_test_a64_pmu_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_a64_traps
TESTS += tests/aarch64/test_a64_traps
tests_aarch64_test_a64_traps_SOURCES = tests/check_main.c tests/aarch64/test_a64_traps.c tests/aarch64/a64_fixture.h tests/aarch64/a64_bench.h tests/aarch64/a64_flat.h
tests_aarch64_test_a64_traps_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_a64_align
TESTS += tests/aarch64/test_a64_align
tests_aarch64_test_a64_align_SOURCES = tests/check_main.c tests/aarch64/test_a64_align.c tests/aarch64/a64_bench.h tests/aarch64/a64_flat.h tests/whole/with_jit.h
tests_aarch64_test_a64_align_LDADD = libaarch64.a libvm.a libhost.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_a64_insn
TESTS += tests/aarch64/test_a64_insn
tests_aarch64_test_a64_insn_SOURCES = tests/check_main.c tests/aarch64/test_a64_insn.c tests/aarch64/a64_flat.h
tests_aarch64_test_a64_insn_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
check_PROGRAMS += tests/aarch64/difftest_a64
TESTS += tests/aarch64/difftest_a64
tests_aarch64_difftest_a64_SOURCES = tests/aarch64/difftest_a64.c tests/aarch64/difftest_a64.h tests/aarch64/a64_flat.h tests/aarch64/difftest_a64_integer.c \
	tests/aarch64/difftest_a64_fp.c
tests_aarch64_difftest_a64_LDADD = libaarch64.a libvm.a libsoftfloat.a libhost.a libbase.a $(HC_SYSLIBS)
if HAVE_UNICORN
tests_aarch64_difftest_a64_CFLAGS = $(AM_CFLAGS) $(UNICORN_CFLAGS) -DHAVE_UNICORN
tests_aarch64_difftest_a64_LDADD += $(UNICORN_LIBS)
# A64 floating point, SIMD and cryptographic helpers, against libunicorn.
check_PROGRAMS += tests/aarch64/test_a64_fp
TESTS += tests/aarch64/test_a64_fp
tests_aarch64_test_a64_fp_SOURCES = tests/aarch64/test_a64_fp.c targets/aarch64/fp.c targets/aarch64/fp_arith.c \
	targets/aarch64/simd.c targets/aarch64/simd_shift.c targets/aarch64/simd_fp.c targets/aarch64/crypto.c
tests_aarch64_test_a64_fp_CPPFLAGS = $(AM_CPPFLAGS) -DHAVE_UNICORN
tests_aarch64_test_a64_fp_CFLAGS = $(AM_CFLAGS) $(UNICORN_CFLAGS)
tests_aarch64_test_a64_fp_LDADD = libsoftfloat.a libbase.a $(UNICORN_LIBS)
endif
EXTRA_DIST += tests/aarch64/test_a64_fp.c
EXTRA_DIST += tests/aarch64/test_a64_insn.c tests/aarch64/a64_flat.h tests/aarch64/difftest_a64.c tests/aarch64/difftest_a64.h tests/aarch64/difftest_a64_integer.c tests/aarch64/difftest_a64_fp.c
# The virt board's chips.
if HAVE_CHECK
check_PROGRAMS += tests/aarch64/test_virt_chips
TESTS += tests/aarch64/test_virt_chips
tests_aarch64_test_virt_chips_SOURCES = tests/check_main.c tests/aarch64/test_virt_chips.c
tests_aarch64_test_virt_chips_LDADD = libaarch64.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_gic_cpus
TESTS += tests/aarch64/test_gic_cpus
tests_aarch64_test_gic_cpus_SOURCES = tests/aarch64/test_gic_cpus.c tests/check_main.c
tests_aarch64_test_gic_cpus_LDADD = libaarch64.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_virt_boot
TESTS += tests/aarch64/test_virt_boot
tests_aarch64_test_virt_boot_SOURCES = tests/check_main.c tests/aarch64/test_virt_boot.c
tests_aarch64_test_virt_boot_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/aarch64/test_semihosting
TESTS += tests/aarch64/test_semihosting
tests_aarch64_test_semihosting_SOURCES = tests/check_main.c tests/aarch64/test_semihosting.c
tests_aarch64_test_semihosting_LDADD = libaarch64.a libvm.a libsoftfloat.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
# LPIs and the translation service.
if HAVE_CHECK
check_PROGRAMS += tests/aarch64/test_its
TESTS += tests/aarch64/test_its
tests_aarch64_test_its_SOURCES = tests/aarch64/test_its.c tests/check_main.c tests/whole/chip_bench.h
tests_aarch64_test_its_LDADD = libaarch64.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

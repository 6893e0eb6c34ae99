# Files of tests/whole/

# Machines against states that none of them was ever in.
check_PROGRAMS += tests/whole/fuzz_state
tests_whole_fuzz_state_SOURCES = tests/whole/fuzz_state.c tests/whole/image_file.h
tests_whole_fuzz_state_LDADD = libreplay.a libcheckpoint.a libi386.a libaarch64.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
TESTS += tests/whole/fuzz_state.sh
EXTRA_DIST += tests/whole/fuzz_state.sh
# Guests run without a server; the i386 system side against QEMU.
check_PROGRAMS += tests/whole/run_guest
tests_whole_run_guest_SOURCES = tests/whole/run_guest.c
tests_whole_run_guest_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
# The same state whatever the engine; tests/guests runs it with Debian kernels.
check_PROGRAMS += tests/whole/engines
tests_whole_engines_SOURCES = tests/whole/engines.c
tests_whole_engines_LDADD = libi386.a libaarch64.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
if !SANITIZED
TESTS += tests/whole/engines.sh
endif
EXTRA_DIST += tests/whole/engines.sh
# Guests of random code, run in every way there is.
check_PROGRAMS += tests/whole/fuzz_code
tests_whole_fuzz_code_SOURCES = tests/whole/fuzz_code.c tests/whole/fuzz_code.h tests/whole/fuzz_i386.c tests/whole/fuzz_a64.c
tests_whole_fuzz_code_LDADD = libreplay.a libcheckpoint.a libi386.a libaarch64.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
TESTS += tests/whole/fuzz_code.sh
EXTRA_DIST += tests/whole/fuzz_code.sh
# Controllers and the rings, tables and lists of hostile guests.
if HAVE_CHECK
check_PROGRAMS += tests/whole/test_hostile_dma
TESTS += tests/whole/test_hostile_dma
tests_whole_test_hostile_dma_SOURCES = tests/check_main.c tests/whole/test_hostile_dma.c tests/whole/hostile.h tests/vm/disk_bench.h tests/whole/chip_bench.h
check_PROGRAMS += tests/whole/test_hostile_virtio
TESTS += tests/whole/test_hostile_virtio
tests_whole_test_hostile_virtio_SOURCES = tests/check_main.c tests/whole/test_hostile_virtio.c tests/whole/hostile.h tests/vm/disk_bench.h tests/whole/chip_bench.h
tests_whole_test_hostile_virtio_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/whole/test_p9
TESTS += tests/whole/test_p9
tests_whole_test_p9_SOURCES = tests/check_main.c tests/whole/test_p9.c tests/whole/chip_bench.h
tests_whole_test_p9_LDADD = libi386.a libsoftfloat.a libvm.a libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
tests_whole_test_hostile_dma_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif
# Chips against QEMU's, access by access.
check_PROGRAMS += tests/whole/qtest_board
tests_whole_qtest_board_SOURCES = tests/whole/qtest_board.c tests/whole/chip_time.h
tests_whole_qtest_board_LDADD = libi386.a libaarch64.a libsoftfloat.a libvm.a libhost.a libbase.a $(HC_SYSLIBS)
TESTS += tests/whole/chips_diff.py
EXTRA_DIST += tests/whole/chips_diff.py tests/whole/chips_play.py tests/whole/chips_accepted.py tests/whole/chips_pc.py tests/whole/chips_cards.py tests/whole/chips_virt.py

# Files of tests/block/

BLOCK_LIBS = libblock.a libhost.a libbase.a $(HC_SYSLIBS)
check_PROGRAMS += tests/block/blocktool
tests_block_blocktool_SOURCES = tests/block/blocktool.c
tests_block_blocktool_LDADD = $(BLOCK_LIBS)
TESTS += tests/block/test_qemu_img.py
EXTRA_DIST += tests/block/test_qemu_img.py
# The reader of qcow2 against images that are none.
check_PROGRAMS += tests/block/fuzz_qcow2
TESTS += tests/block/fuzz_qcow2
tests_block_fuzz_qcow2_SOURCES = tests/block/fuzz_qcow2.c tests/block/block_bench.h
tests_block_fuzz_qcow2_LDADD = $(BLOCK_LIBS)
if HAVE_CHECK
check_PROGRAMS += tests/block/test_block
TESTS += tests/block/test_block
tests_block_test_block_SOURCES = tests/block/test_block.c tests/block/block_bench.h tests/check_main.c
tests_block_test_block_LDADD = libblock.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

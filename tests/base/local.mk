# Files of tests/base/
EXTRA_DIST += tests/check_main.h tests/page_sets.h tests/storm.h tests/base/test_setup.sh
TESTS += tests/base/test_setup.sh

if HAVE_CHECK
check_PROGRAMS += tests/base/test_base
TESTS += tests/base/test_base
tests_base_test_base_SOURCES = tests/base/test_base.c tests/check_main.c
tests_base_test_base_LDADD = libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/base/test_capture
TESTS += tests/base/test_capture
tests_base_test_capture_SOURCES = tests/base/test_capture.c tests/check_main.c
tests_base_test_capture_LDADD = libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

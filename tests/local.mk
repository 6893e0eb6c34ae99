# Files of tests/

if HAVE_CHECK
check_PROGRAMS += tests/test_softfloat
TESTS += tests/test_softfloat
tests_test_softfloat_SOURCES = tests/test_softfloat.c tests/host_fpu.h
tests_test_softfloat_LDADD = libsoftfloat.a $(CHECK_LIBS)
endif

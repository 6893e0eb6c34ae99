# Files of tests/softfloat/

if HAVE_CHECK
check_PROGRAMS += tests/softfloat/test_softfloat
TESTS += tests/softfloat/test_softfloat
tests_softfloat_test_softfloat_SOURCES = tests/check_main.c tests/softfloat/test_softfloat.c tests/softfloat/host_fpu.h
tests_softfloat_test_softfloat_LDADD = libsoftfloat.a $(CHECK_LIBS)
endif

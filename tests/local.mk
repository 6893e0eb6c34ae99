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

# The execution core. It runs the toy CPU of vm_toy.h.
if HAVE_CHECK
check_PROGRAMS += tests/test_vm_exec
TESTS += tests/test_vm_exec
tests_test_vm_exec_SOURCES = tests/test_vm_exec.c tests/vm_toy.c tests/vm_toy.h
tests_test_vm_exec_LDADD = libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

# The i386 system side: faults, segments, tasks, paging, debug, interrupts, registers.
if HAVE_CHECK
check_PROGRAMS += tests/test_i386_system
TESTS += tests/test_i386_system
tests_test_i386_system_SOURCES = tests/test_i386_system.c tests/i386_bench.h
tests_test_i386_system_LDADD = libi386.a libsoftfloat.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

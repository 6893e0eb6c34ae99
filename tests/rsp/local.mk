# Files of tests/rsp/

# The protocol layer.
if HAVE_CHECK
RSP_TESTS = tests/rsp/test_rsp tests/rsp/test_rsp_framing tests/rsp/test_rsp_agent tests/rsp/test_rsp_monitor tests/rsp/test_rsp_fuzz \
	tests/rsp/test_rsp_trace
check_PROGRAMS += $(RSP_TESTS) tests/rsp/test_rsp_stdio
TESTS += $(RSP_TESTS) tests/rsp/test_rsp_gdb.sh
RSP_FAKE = tests/rsp/test_rsp_client.c tests/rsp/test_rsp_client.h tests/rsp/test_rsp_fake.c tests/rsp/test_rsp_fake.h
RSP_LIBS = librsp.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
tests_rsp_test_rsp_SOURCES = tests/check_main.c tests/rsp/test_rsp.c tests/rsp/rsp_bench.h $(RSP_FAKE)
tests_rsp_test_rsp_framing_SOURCES = tests/check_main.c tests/rsp/test_rsp_framing.c tests/rsp/rsp_bench.h $(RSP_FAKE)
tests_rsp_test_rsp_framing_LDADD = $(RSP_LIBS)
tests_rsp_test_rsp_LDADD = $(RSP_LIBS)
tests_rsp_test_rsp_agent_SOURCES = tests/check_main.c tests/rsp/test_rsp_agent.c
tests_rsp_test_rsp_agent_LDADD = $(RSP_LIBS)
tests_rsp_test_rsp_monitor_SOURCES = tests/check_main.c tests/rsp/test_rsp_monitor.c $(RSP_FAKE)
tests_rsp_test_rsp_monitor_LDADD = $(RSP_LIBS)
tests_rsp_test_rsp_fuzz_SOURCES = tests/check_main.c tests/rsp/test_rsp_fuzz.c $(RSP_FAKE)
tests_rsp_test_rsp_fuzz_LDADD = $(RSP_LIBS)
tests_rsp_test_rsp_trace_SOURCES = tests/check_main.c tests/rsp/test_rsp_trace.c $(RSP_FAKE)
tests_rsp_test_rsp_trace_LDADD = $(RSP_LIBS)
tests_rsp_test_rsp_stdio_SOURCES = tests/rsp/test_rsp_stdio.c tests/rsp/test_rsp_fake.c tests/rsp/test_rsp_fake.h
tests_rsp_test_rsp_stdio_LDADD = librsp.a libbase.a
endif
EXTRA_DIST += tests/rsp/test_rsp_gdb.sh

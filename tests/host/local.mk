# Files of tests/host/

if HAVE_CHECK
check_PROGRAMS += tests/host/test_host
TESTS += tests/host/test_host
tests_host_test_host_SOURCES = tests/check_main.c tests/host/test_host.c
tests_host_test_host_LDADD = libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/host/test_audiodev
TESTS += tests/host/test_audiodev
tests_host_test_audiodev_SOURCES = tests/check_main.c tests/host/test_audiodev.c
tests_host_test_audiodev_LDADD = libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
check_PROGRAMS += tests/host/test_net_user
TESTS += tests/host/test_net_user
tests_host_test_net_user_SOURCES = tests/check_main.c tests/host/test_net_user.c
tests_host_test_net_user_LDADD = libhost.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
endif

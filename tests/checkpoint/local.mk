# Files of tests/checkpoint/

if HAVE_CHECK
check_PROGRAMS += tests/checkpoint/test_checkpoint
TESTS += tests/checkpoint/test_checkpoint
tests_checkpoint_test_checkpoint_SOURCES = tests/check_main.c tests/checkpoint/test_checkpoint.c tests/replay/toy.c tests/replay/toy.h
tests_checkpoint_test_checkpoint_LDADD = $(REPLAY_LIBS)
endif

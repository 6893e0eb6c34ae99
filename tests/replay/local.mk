# Files of tests/replay/

# Log, checkpoints, timeline.
if HAVE_CHECK
REPLAY_TESTS = tests/replay/test_log tests/replay/test_timeline tests/replay/test_timeline_claims tests/replay/test_timeline_exec \
	tests/replay/test_recording tests/replay/test_diverge tests/replay/test_timeline_drive tests/replay/test_placement
check_PROGRAMS += $(REPLAY_TESTS)
TESTS += $(REPLAY_TESTS)
REPLAY_LIBS = libreplay.a libcheckpoint.a libvm.a libbase.a $(CHECK_LIBS) $(HC_SYSLIBS)
tests_replay_test_log_SOURCES = tests/check_main.c tests/replay/test_log.c tests/replay/toy.c tests/replay/toy.h
tests_replay_test_log_LDADD = $(REPLAY_LIBS)
tests_replay_test_timeline_SOURCES = tests/check_main.c tests/replay/test_timeline.c tests/replay/toy.c tests/replay/toy.h
tests_replay_test_timeline_LDADD = $(REPLAY_LIBS)
tests_replay_test_timeline_claims_SOURCES = tests/check_main.c tests/replay/test_timeline_claims.c tests/replay/desk.h tests/replay/toy.c tests/replay/toy.h
tests_replay_test_timeline_claims_LDADD = $(REPLAY_LIBS)
tests_replay_test_placement_SOURCES = tests/check_main.c tests/replay/test_placement.c tests/replay/desk.h tests/replay/toy.c tests/replay/toy.h
tests_replay_test_placement_LDADD = $(REPLAY_LIBS)
tests_replay_test_timeline_exec_SOURCES = tests/check_main.c tests/replay/test_timeline_exec.c tests/vm/vm_toy.c tests/vm/vm_toy.h
tests_replay_test_timeline_exec_LDADD = $(REPLAY_LIBS)
tests_replay_test_recording_SOURCES = tests/check_main.c tests/replay/test_recording.c tests/replay/recording_bench.h tests/replay/toy.c tests/replay/toy.h
tests_replay_test_diverge_SOURCES = tests/check_main.c tests/replay/test_diverge.c tests/replay/recording_bench.h tests/replay/toy.c tests/replay/toy.h
tests_replay_test_timeline_drive_SOURCES = tests/replay/test_timeline_drive.c tests/replay/toy.c tests/replay/toy.h \
	tests/check_main.c
tests_replay_test_timeline_drive_LDADD = $(REPLAY_LIBS)
tests_replay_test_diverge_LDADD = $(REPLAY_LIBS)
tests_replay_test_recording_LDADD = $(REPLAY_LIBS)
endif
# The reader of recordings against files that are none.
check_PROGRAMS += tests/replay/fuzz_recording
tests_replay_fuzz_recording_SOURCES = tests/replay/fuzz_recording.c
tests_replay_fuzz_recording_LDADD = libreplay.a libcheckpoint.a libvm.a libbase.a $(HC_SYSLIBS)
TESTS += tests/replay/fuzz_recording.sh
EXTRA_DIST += tests/replay/fuzz_recording.sh tests/replay/corpus

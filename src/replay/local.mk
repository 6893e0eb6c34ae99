noinst_LIBRARIES += libreplay.a
libreplay_a_SOURCES = src/replay/branches.c src/replay/chunk.c src/replay/chunk.h src/replay/clusters.c src/replay/diverge.c src/replay/env.c src/replay/layout.c src/replay/layout.h \
	src/replay/log.c src/replay/log.h src/replay/navigate.c \
	src/replay/originals.c src/replay/outside.c src/replay/place.c src/replay/points.c src/replay/query.c src/replay/query.h src/replay/replica.c src/replay/snapshots.c \
	src/replay/recorder.c src/replay/recorder.h src/replay/recording.h src/replay/recording_damage.c src/replay/recording_internal.h src/replay/recording_load.c src/replay/recording_read.c \
	src/replay/recording_write.c \
	src/replay/run.c src/replay/steps.c src/replay/timeline.c src/replay/timeline.h src/replay/timeline_internal.h \
	src/replay/witness.c src/replay/witness.h

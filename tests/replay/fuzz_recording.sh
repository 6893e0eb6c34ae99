#!/bin/sh
# The corpus through the reader of recordings.
exec "$top_builddir/tests/replay/fuzz_recording" "$top_srcdir"/tests/replay/corpus/*

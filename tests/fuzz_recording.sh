#!/bin/sh
# The corpus through the reader of recordings.
exec "$top_builddir/tests/fuzz_recording" "$top_srcdir"/tests/corpus/recording/*

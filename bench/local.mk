# Benchmarks: run by hand (bench/compare --help), never by `make check`.
EXTRA_DIST += bench/compare bench/README.md bench/measure.py bench/machines.py bench/parts.py bench/guest/loops.c bench/guest/events.h bench/guest/cpus.c \
	bench/guest/i386.S bench/guest/i386.ld bench/guest/x86_64.S bench/guest/x86_64.ld bench/guest/aarch64.S bench/guest/aarch64.ld

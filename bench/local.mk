# Benchmarks: run by hand (bench/compare --help), never by `make check`.
EXTRA_DIST += bench/compare bench/guest/start.S bench/guest/loops.c bench/guest/guest.ld

#!/bin/sh
# Guests of random code have the same states in whatever way they are run. By hand with other seeds and for
# longer: HINDCAST_FUZZ_SECONDS=3600 HINDCAST_FUZZ_FIRST=$(date +%s) tests/whole/fuzz_code.sh
exec "$top_builddir/tests/whole/fuzz_code" -s "${HINDCAST_FUZZ_SECONDS:-6}" -f "${HINDCAST_FUZZ_FIRST:-1}"

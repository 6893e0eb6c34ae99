#!/bin/sh
# Both machines from states that none of them was ever in.
set -e
case ${HINDCAST_BRIEF:-no} in yes) rounds=50 ;; *) rounds=200 ;; esac
rounds=${HINDCAST_FUZZ_ROUNDS:-$rounds}
for machine in pc:i386 virt:aarch64; do
    kernel=$top_builddir/examples/stale-pointer/${machine#*:}/store.elf
    if [ ! -f "$kernel" ]; then
        echo "skipped: $kernel was not built"
        exit 77
    fi
    "$top_builddir/tests/whole/fuzz_state" "${machine%:*}" "$kernel" "$rounds"
done

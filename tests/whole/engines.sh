#!/bin/sh
# Firmware and a bare-metal guest reach equal states on every engine.
set -eu
engines=$top_builddir/tests/whole/engines
bios=/usr/share/seabios/bios.bin
guest=$top_builddir/examples/stale-pointer/i386/store.elf
ran=no
if [ -r $bios ]; then
    for model in 486 pentium3 pentium4; do
        "$engines" -bios:$bios 40000000 "" "" $model
    done
    ran=yes
fi
if [ -r "$guest" ]; then
    "$engines" "$guest" 20000000
    ran=yes
fi
guest=$top_builddir/examples/stale-pointer/aarch64/store.elf
if [ -r "$guest" ]; then
    "$engines" -virt "$guest" 10000000
    ran=yes
fi
[ $ran = yes ] || exit 77

#!/bin/sh
# A real gdb against the protocol layer and a target of known behaviour
# (test_rsp_fake.h): what a person would see.
set -u
gdb=${GDB:-gdb}
server=$top_builddir/tests/rsp/test_rsp_stdio
command -v "$gdb" >/dev/null || { echo "no gdb: skipped"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

cat >"$work/script" <<'END'
printf "start %d %#x\n", $eax, $pc
stepi
stepi
printf "two steps %d\n", $eax
reverse-stepi
printf "one back %d\n", $eax
break *0x1032 if $eax == 250
continue
printf "condition %d\n", $eax
delete
watch *(int*)0x2000
continue
printf "watch %d now %d\n", $eax, *(int*)0x2000
continue
printf "watch %d now %d\n", $eax, *(int*)0x2000
reverse-continue
printf "watch back %d now %d\n", $eax, *(int*)0x2000
reverse-continue
printf "watch back %d now %d\n", $eax, *(int*)0x2000
delete
rwatch *(int*)0x2010
continue
printf "rwatch %d\n", $eax
delete
hbreak *0x1007
continue
printf "hbreak %d\n", $eax
reverse-continue
printf "hbreak back %d\n", $eax
delete
monitor seek 777
continue
printf "seek %d\n", $eax
continue
reverse-continue
printf "begin %d\n", $eax
set dprintf-style agent
dprintf *0x1001,"at %d sp %x\n",$eax,$esp
break *0x1065 if $eax > 100
break *0x1002 if $eax > 200
continue
delete
p $eax = 5
printf "written %d\n", $eax
set *(int*)0x3000 = 77
printf "memory %d\n", *(int*)0x3000
find 0x3000, +80, (char)77
monitor when
monitor whne
info threads
p $cr3
detach
END

# -ex for each line, so that a failing one does not end the session.
set --
while IFS= read -r line; do
    set -- "$@" -ex "$line"
done <"$work/script"
timeout 300 "$gdb" -nx -batch -ex "set confirm off" -ex "set remotetimeout 60" -ex "set architecture i386" -ex "target remote | $server" "$@" \
    >"$work/out" 2>&1

failed=0
expect() {
    grep -qF -- "$1" "$work/out" && return
    echo "missing: $1"
    failed=1
}
expect "start 0 0x1000"
expect "two steps 2"
expect "one back 1"
expect "condition 250"
expect "Old value = 25"
expect "watch 260 now 26"
expect "watch 270 now 27"
expect "Old value = 27"
expect "watch back 269 now 26"
expect "watch back 259 now 25"
expect "rwatch 265"
expect "hbreak 307"
expect "hbreak back 207"
expect "seek 777"
# What it says at an end of history: up to gdb 15, and from 16 on.
grep -q "Reached end of recorded history; stopping" "$work/out" || expect "No more reverse-execution history."
expect "begin 0"
expect "at 1 sp 8000"
expect "at 201 sp 8000"
expect "written 5"
expect "memory 77"
expect "1 pattern found."
expect "position 202"
expect 'unknown command "whne"; the nearest is "when"'
expect 'Thread 1 "CPU#0" (at 202 <&>)'
expect "<unavailable>"
expect "detached]"

set --
for line in "run 300" 'printf "run %d\n", $eax' 'p $eax = 3' "kill" "starti 20" 'printf "starti %d\n", $eax' \
    "reverse-stepi" 'printf "back %d\n", $eax' "detach" "attach 1" 'printf "attached %d\n", $eax'; do
    set -- "$@" -ex "$line"
done
timeout 300 "$gdb" -nx -batch -ex "set confirm off" -ex "set remotetimeout 60" -ex "set architecture i386" \
    -ex "target extended-remote | $server readonly" "$@" >>"$work/out" 2>&1
expect "run 300"
expect "the past cannot be written: this is position 300 of 1000"
expect "starti 20"
expect "back 19"
expect "attached 19"

[ $failed = 0 ] || cat "$work/out"
exit $failed

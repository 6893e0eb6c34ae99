# Random cases of segments, gates, tasks, virtual-8086 mode and paging end alike here and in QEMU:
# system_diff.c runs on both, and what it reports must be the same.
# Environment: SEED, CASES.
set -u
: "${CASES:=3000}" "${SEED:=20}"
dir=${top_srcdir:-../..}/tests/guests
work=$(mktemp -d "${TMPDIR:-/tmp}/hc-diff-XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT

command -v qemu-system-i386 >/dev/null || { echo "no qemu-system-i386: skipped"; exit 77; }
printf '%s\n' 'ENTRY(_start) SECTIONS { . = 0x100000; .text : { *(.multiboot) *(.text*) }' \
	'.rodata : { *(.rodata*) } .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }' \
	'/DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) } }' > "$work/ld.x"

# compare FLAGS QEMU-CPU OWN-CPU
compare() {
	${CC:-cc} -m32 -O1 -std=gnu11 -ffreestanding -fno-pic -fno-pie -no-pie -fno-stack-protector -mno-sse -mno-mmx \
		-fcf-protection=none -fno-asynchronous-unwind-tables -nostdlib -static -DSEED="$SEED" -DCASES="$CASES" $1 \
		-Wl,-T,"$work/ld.x" -Wl,--build-id=none -o "$work/guest.elf" "$dir/system_diff.c" 2>"$work/cc.log" ||
		{ cat "$work/cc.log"; echo "no compiler for 32-bit guests: skipped"; exit 77; }
	timeout 900 qemu-system-i386 -cpu "$2" -m 64 -kernel "$work/guest.elf" -debugcon "file:$work/qemu.log" \
		-display none -device isa-debug-exit,iobase=0xf4 -no-reboot -serial none -monitor none -net none </dev/null
	lines=$(wc -l < "$work/qemu.log")
	[ "$lines" -eq "$CASES" ] || { echo "QEMU reported $lines of $CASES cases: skipped"; exit 77; }
	for engine in "" -jit; do
		# shellcheck disable=SC2086
		timeout 900 "${top_builddir:-.}/tests/whole/run_guest" $engine "$work/guest.elf" 1000000000 "$3" > "$work/own.log" || {
			echo "run_guest ends with status $?; it had reported $(wc -l < "$work/own.log") of $CASES cases $1 $engine"
			exit 1
		}
		if ! diff "$work/qemu.log" "$work/own.log" > "$work/diff"; then
			echo "differences ($(grep -c '^>' "$work/diff") of $CASES cases $1 $engine); < QEMU, > hindcast:"
			head -40 "$work/diff"
			exit 1
		fi
	done
	echo "$CASES cases, seed $SEED $1: equal"
}

compare "" pentium3 pentium3
compare -DPAE pentium3,+nx pentium4

# Random cases of long mode's segments, gates, returns, SYSCALL, system registers and paging end alike here and in QEMU:
# system_diff64.c runs on both, with four levels of page tables and with five, and what it reports must be the same.
# Environment: SEED, CASES.
set -u
: "${CASES:=1000}" "${SEED:=20}"
dir=${top_srcdir:-../..}/tests/guests
work=$(mktemp -d "${TMPDIR:-/tmp}/hc-diff64-XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT

command -v qemu-system-x86_64 >/dev/null || { echo "no qemu-system-x86_64: skipped"; exit 77; }
command -v "${OBJCOPY:-objcopy}" >/dev/null || { echo "no objcopy: skipped"; exit 77; }
printf '%s\n' 'ENTRY(_start) SECTIONS { . = 0x100000; .text : { *(.multiboot) *(.text*) }' \
	'.rodata : { *(.rodata*) } .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }' \
	'/DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) } }' > "$work/ld.x"
# Of one kind of paging: the compiler's option for it, QEMU's model.
compare() {
	rm -f "$work/qemu.log"
	${CC:-cc} -m64 -O1 -std=gnu11 -ffreestanding -fno-pic -fno-pie -no-pie -mno-red-zone -mcmodel=small -fno-stack-protector \
		-mgeneral-regs-only -fcf-protection=none -fno-asynchronous-unwind-tables -nostdlib -static -DSEED="$SEED" -DCASES="$CASES" \
		"$1" -Wl,-T,"$work/ld.x" -Wl,--build-id=none -Wl,-z,max-page-size=4096 -o "$work/guest64.elf" "$dir/system_diff64.c" \
		2>"$work/cc.log" && ${OBJCOPY:-objcopy} -O elf32-i386 "$work/guest64.elf" "$work/guest.elf" 2>>"$work/cc.log" ||
		{ cat "$work/cc.log"; echo "no compiler for 64-bit guests: skipped"; exit 77; }
	timeout 300 qemu-system-x86_64 -cpu "$2" -m 64 -kernel "$work/guest.elf" \
		-debugcon "file:$work/qemu.log" -display none -device isa-debug-exit,iobase=0xf4 -no-reboot -serial none -monitor none \
		-net none </dev/null
	lines=$(wc -l < "$work/qemu.log")
	[ "$lines" -eq "$CASES" ] || { echo "QEMU reported $lines of $CASES cases: skipped"; exit 77; }
	for engine in "" -jit; do
		# shellcheck disable=SC2086
		timeout 900 "${top_builddir:-.}/tests/whole/run_guest" $engine "$work/guest.elf" 1000000000 max > "$work/own.log" || {
			echo "run_guest ends with status $?; it had reported $(wc -l < "$work/own.log") of $CASES cases $engine"
			exit 1
		}
		if ! diff "$work/qemu.log" "$work/own.log" > "$work/diff"; then
			echo "differences ($(grep -c '^>' "$work/diff") of $CASES cases $1 $engine); < QEMU, > hindcast:"
			head -40 "$work/diff"
			exit 1
		fi
	done
}
compare -DLA48 qemu64,+smep,+smap,+pku,+fsgsbase,+nx,+rdtscp,+pdpe1gb,+umip
compare -DLA57 max
echo "$CASES cases, seed $SEED, with four and with five levels: equal"

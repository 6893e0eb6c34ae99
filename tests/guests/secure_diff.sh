#!/bin/sh
# The two security states of the virt board are here what they are in QEMU: secure_diff.c runs on
# both, with both versions of the interrupt controller, with and without EL2, and says the same.
set -u
dir=${top_srcdir:-../..}/tests/guests
cross=${AARCH64_CC:-aarch64-linux-gnu-gcc}
work=$(mktemp -d "${TMPDIR:-/tmp}/hc-diff-XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT

for tool in qemu-system-aarch64 "$cross" aarch64-linux-gnu-objcopy; do
	command -v "$tool" >/dev/null || { echo "no $tool: skipped"; exit 77; }
done
printf '%s\n' 'ENTRY(_start) SECTIONS { . = 0; .text : { *(.text.start) *(.text*) *(.rodata*)' \
	'. = ALIGN(16); _stubs = .; *(.stubs) _stubs_end = .; . = ALIGN(16); }' \
	'. = 0x0e000000; .data (NOLOAD) : { *(.data*) *(.bss*) *(COMMON) } . = ALIGN(16); . += 0x4000; _stack = .;' \
	'/DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) } }' > "$work/ld.x"

for gic in 2 3; do
	"$cross" -O1 -std=gnu11 -ffreestanding -fno-pic -fno-stack-protector -fno-asynchronous-unwind-tables \
		-mgeneral-regs-only -mstrict-align -mno-outline-atomics -nostdlib -static -DGIC="$gic" -Wall -Wno-main \
		-Wl,-T,"$work/ld.x" -Wl,--build-id=none -o "$work/guest.elf" "$dir/secure_diff.c" || exit 99
	aarch64-linux-gnu-objcopy -O binary -j .text "$work/guest.elf" "$work/guest.bin" || exit 99
	for el2 in off on; do
		machine=virt,secure=on,virtualization=$el2,gic-version=$gic
		timeout 900 qemu-system-aarch64 -machine "$machine" -cpu cortex-a57 -m 64 -bios "$work/guest.bin" \
			-display none -serial "file:$work/qemu.log" -serial none -monitor none -net none -no-reboot </dev/null
		grep -q '^end=0' "$work/qemu.log" || { echo "QEMU did not come to the end: skipped"; exit 77; }
		for engine in jit interpreter; do
			timeout 900 "${top_builddir:-.}/hindcast" --machine "$machine" -m 64M --bios "$work/guest.bin" --run \
				--engine "$engine" --listen none --serial "file:$work/own.log" </dev/null 2>"$work/err.log" ||
				{ cat "$work/err.log"; exit 1; }
			if ! diff "$work/qemu.log" "$work/own.log" > "$work/diff"; then
				echo "$machine, $engine: differences ($(grep -c '^>' "$work/diff") of $(wc -l < "$work/qemu.log") lines);" \
					"< QEMU, > hindcast:"
				head -60 "$work/diff"
				failed=yes
				continue
			fi
			echo "$machine, $engine: $(wc -l < "$work/own.log") lines are equal"
		done
	done
done
[ -z "${failed-}" ]

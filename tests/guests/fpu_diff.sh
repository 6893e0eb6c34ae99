# Floating point and SIMD: fpu_diff.c gives the same results on the emulator as on the host's own processor, with
# x87, SSE and SSE2 code, and the guest sees the faults that it should.
set -u
dir=${top_srcdir:-../..}/tests/guests
work=$(mktemp -d "${TMPDIR:-/tmp}/hc-fpu-XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT

printf '%s\n' 'ENTRY(_start) SECTIONS { . = 0x100000; .text : { *(.multiboot) *(.text*) }' \
	'.rodata : { *(.rodata*) } .data : { *(.data*) } .bss : { *(.bss*) *(COMMON) }' \
	'/DISCARD/ : { *(.note*) *(.comment) *(.eh_frame) } }' > "$work/ld.x"
common="-m32 -std=gnu11 -ffreestanding -fno-pic -fno-pie -no-pie -fno-stack-protector -fcf-protection=none
	-fno-asynchronous-unwind-tables -mstackrealign -fwrapv -nostdlib -static"

echo 'int main(void) { return 0; }' | ${CC:-cc} -m32 -x c -o "$work/none" - 2>/dev/null ||
	{ echo "no compiler for 32-bit guests: skipped"; exit 77; }

# compare MODEL FLAGS...
compare() {
	model=$1
	shift
	${CC:-cc} $common "$@" -DNATIVE -o "$work/native" "$dir/fpu_diff.c" 2>"$work/cc.log" &&
		${CC:-cc} $common "$@" -Wl,-T,"$work/ld.x" -Wl,--build-id=none -o "$work/guest.elf" "$dir/fpu_diff.c" \
			2>>"$work/cc.log" || { cat "$work/cc.log"; exit 1; }
	"$work/native" > "$work/native.log" 2>/dev/null ||
		{ echo "this host does not run 32-bit programs: skipped"; exit 77; }
	for engine in "" -jit; do
		# shellcheck disable=SC2086
		timeout 900 "${top_builddir:-.}/tests/whole/run_guest" $engine "$work/guest.elf" 1000000000 "$model" > "$work/own.log"
		if ! diff "$work/native.log" "$work/own.log"; then
			echo "$model $* ${engine:--interpreter}: results differ; < host, > hindcast"
			exit 1
		fi
	done
	echo "$model $*: equal"
}

compare pentium3 -O2 -march=i686 -mfpmath=387 -mno-sse -mno-mmx
compare 486 -O1 -march=i486 -mfpmath=387 -mno-sse -mno-mmx
compare pentium3 -O3 -march=pentium3 -mfpmath=sse
compare pentium4 -O3 -march=pentium4 -mfpmath=sse

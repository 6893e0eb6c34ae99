# Files of tests/guests/

TESTS += tests/guests/system_diff.sh
EXTRA_DIST += tests/guests/system_diff.sh tests/guests/system_diff.c
TESTS += tests/guests/system_diff64.sh
EXTRA_DIST += tests/guests/system_diff64.sh tests/guests/system_diff64.c
# CPUID of every model, against QEMU's.
TESTS += tests/guests/cpuid_diff.sh
EXTRA_DIST += tests/guests/cpuid_diff.sh tests/guests/cpuid_leaves.py tests/guests/cpuid_diff.c
# The same through the whole emulator (with run_guest, above), against a program on the host.
TESTS += tests/guests/fpu_diff.sh
EXTRA_DIST += tests/guests/fpu_diff.sh tests/guests/fpu_diff.c
# The security states of the virt board, against QEMU.
TESTS += tests/guests/secure_diff.sh
EXTRA_DIST += tests/guests/secure_diff.sh tests/guests/secure_diff.c

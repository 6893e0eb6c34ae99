# CPUID of every model is QEMU's, but for differences that have a reason: see cpuid_leaves.py.
exec python3 "${top_srcdir:-../..}/tests/guests/cpuid_leaves.py" "${top_builddir:-.}"

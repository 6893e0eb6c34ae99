# shellcheck shell=sh disable=SC2154
# For quickstart and run-tests: install what is missing, configure, build. Sourced, not run.
#
# Expects $top, the source directory. On Debian and its relatives packages are
# installed by apt-get, with sudo if necessary; elsewhere it is said what is missing.

say() {
    printf '\n== %s\n' "$*"
}

have_command() {
    command -v "$1" >/dev/null 2>&1
}

have_library() {
    have_command pkg-config && pkg-config --exists "$1"
}

# A compiler and a C library for 32-bit programs? (Freestanding ones need only the compiler.)
have_m32() {
    have_command gcc && echo 'int main(void) { return 0; }' | gcc -m32 -x c -o /dev/null - 2>/dev/null
}

# The package with gcc's own 32-bit library: that of the gcc that is there, or will be.
gcc_32_bit_library() {
    version=$(gcc -dumpversion 2>/dev/null | cut -d . -f 1)
    [ -n "$version" ] || version=$(apt-cache depends gcc 2>/dev/null | sed -n 's/^.*Depends: gcc-\([0-9]*\)$/\1/p' | head -n 1)
    echo "lib32gcc-${version:-12}-dev"
}

# need PACKAGE CHECK...: remember PACKAGE as missing unless CHECK succeeds.
missing=
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

install_missing() {
    [ -n "$missing" ] || return 0
    if ! have_command apt-get; then
        echo "These are missing, by their Debian names; please install them:$missing" >&2
        return 1
    fi
    root=
    if [ "$(id -u)" -ne 0 ]; then
        root=sudo
        have_command sudo || { echo "Please install, as root:$missing" >&2; return 1; }
    fi
    say "installing:$missing"
    $root apt-get update -q || echo "apt-get update failed; trying with the package lists that are there" >&2
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
}

need_build_tools() {
    need gcc have_command gcc
    need libc6-dev test -e /usr/include/stdio.h
    need make have_command make
    need autoconf have_command autoconf
    need automake have_command automake
    need pkg-config have_command pkg-config
    need libelf-dev have_library libelf
    need zlib1g-dev have_library zlib
    need libxxhash-dev have_library libxxhash
    need libfdt-dev test -e /usr/include/libfdt.h
    need libnbd-dev have_library libnbd
    need libzstd-dev have_library libzstd
    # Not gcc-multilib, which Debian does not let stand beside a cross compiler.
    need "$(gcc_32_bit_library)" have_m32
    need libc6-dev-i386 have_m32
    have_command gdb-multiarch || need gdb have_command gdb
}

# For guests of the virt board.
need_aarch64_tools() {
    need gcc-aarch64-linux-gnu have_command aarch64-linux-gnu-gcc
    need gdb-multiarch have_command gdb-multiarch
}

# configure_and_build DIRECTORY [CONFIGURE OPTION...]
configure_and_build() {
    directory=$1
    shift
    [ -x "$top/configure" ] || (cd "$top" && autoreconf -fi)
    mkdir -p "$directory"
    # What was missing when it was configured may be there by now.
    if [ ! -f "$directory/Makefile" ] || grep -q '^S\["HAVE_[A-Z0-9_]*_TRUE"\]="#"' "$directory/config.status"; then
        # A build inside the source tree would get in the way of this one.
        [ ! -f "$top/config.status" ] || (cd "$top" && make -s distclean)
        (cd "$directory" && "$top/configure" "$@")
    fi
    make -C "$directory" -j "$(nproc 2>/dev/null || echo 2)"
}

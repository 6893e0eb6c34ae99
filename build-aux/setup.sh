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

# The compiler that configure will take: $CC, or gcc, or clang alone.
compiler() {
    for candidate in "${CC:-}" gcc clang; do
        have_command "${candidate%% *}" && echo "$candidate" && return
    done
    echo gcc
}

# A compiler and a C library for 32-bit programs? (Freestanding ones need only the compiler.)
have_m32() {
    echo 'int main(void) { return 0; }' | $(compiler) -m32 -x c -o /dev/null - 2>/dev/null
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
    cc=$(compiler)
    need gcc have_command "${cc%% *}"
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
    need libslirp-dev test -r /usr/include/slirp/libslirp.h
    need libpng-dev have_library libpng
    need libusb-1.0-0-dev have_library libusb-1.0
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

# Where packages from the npm registry are kept.
npm_directory() {
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/hindcast/npm"
}

# npm_package NAME@VERSION: for tests, which are skipped where it cannot be had.
npm_package() {
    [ -d "$(npm_directory)/node_modules/${1%@*}" ] || have_command npm || return 0
    [ -d "$(npm_directory)/node_modules/${1%@*}" ] ||
        npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$(npm_directory)" "$1" ||
        echo "npm could not fetch $1; the tests that want it are skipped" >&2
}

# Neither configure nor make can work where a path has a space or a sign that the shell minds. There the tree gets
# another name, by a link: sets $top.
plain_path() {
    case $top in
    *[!A-Za-z0-9_./+@%,=:-]*) ;;
    *) return 0 ;;
    esac
    for place in "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/hindcast" "${TMPDIR:-/tmp}/hindcast-$(id -u)"; do
        case $place in
        *[!A-Za-z0-9_./+@%,=:-]*) continue ;;
        esac
        (umask 077 && mkdir -p "$place") 2>/dev/null && [ -O "$place" ] || continue
        link=$place/tree-$(printf %s "$top" | cksum | cut -d ' ' -f 1)
        ln -sfn "$top" "$link" || continue
        say "make cannot work in \"$top\": building by another name of it, $link"
        top=$link
        return 0
    done
    echo "Please move this tree to a path without spaces: configure and make cannot work in \"$top\"" >&2
    return 1
}

# quietly COMMAND...: what it says is shown only when it fails; meanwhile, how far it is.
quietly() {
    quiet_log=$(mktemp)
    "$@" >"$quiet_log" 2>&1 &
    quiet_pid=$!
    quiet_files=$(find "$top/src" "$top/targets" -name '*.c' | wc -l)
    quiet_seconds=0
    while kill -0 "$quiet_pid" 2>/dev/null; do
        sleep 1
        quiet_seconds=$((quiet_seconds + 1))
        quiet_done=$(grep -c '^  CC ' "$quiet_log") || :
        # autoreconf and configure come first.
        quiet_what='looking at what this system has'
        [ "$quiet_done" -eq 0 ] || quiet_what="$quiet_done of $quiet_files files compiled"
        if [ -t 1 ]; then
            printf '\r\033[K   %s (%d s) ' "$quiet_what" $quiet_seconds
        elif [ $((quiet_seconds % ${quiet_every:-15})) -eq 0 ]; then
            printf '   %s (%d s)\n' "$quiet_what" $quiet_seconds
        fi
    done
    [ ! -t 1 ] || printf '\r\033[K'
    quiet_status=0
    wait "$quiet_pid" || quiet_status=$?
    [ $quiet_status -eq 0 ] || { cat "$quiet_log"; echo "FAILED: $*" >&2; }
    rm -f "$quiet_log"
    return $quiet_status
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

# For the demos: a debugging session with a guest, shown as one would type it. Sourced, with $hindcast and $guest (an ELF
# file) set; then start_server, run_session, found.

arch=i386
case $(od -An -tx1 -j18 -N1 "$guest" | tr -d ' ') in
b7) arch=aarch64 ;;
3e) arch=i386:x86-64 ;;
esac
gdb=
for candidate in ${GDB:-} gdb gdb-multiarch; do
    "$candidate" -q -nx -batch -ex "set architecture $arch" </dev/null 2>&1 |
        grep -q "to \"$arch\"" && gdb=$candidate && break
done
[ -n "$gdb" ] || { echo "demo: no gdb that knows $arch (set GDB, or install gdb-multiarch)" >&2; exit 1; }

tmp=$(mktemp -d)
server=
status=0
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || :
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# A unix socket needs no free port. Typed by hand it would be: target remote :1234
socket=$tmp/gdb

# start_server OPTION...
start_server() {
    # --serial gdb: the guest's console is shown among what gdb says, in the right order.
    echo "\$ hindcast --serial gdb --listen unix:$socket ${*:+$* }${guest##*/} &"
    "$hindcast" --serial gdb --listen "unix:$socket" "$@" "$guest" </dev/null &
    server=$!
    tries=0
    while [ ! -S "$socket" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 600 ] || ! kill -0 "$server" 2>/dev/null; then
            echo "demo: hindcast did not start" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# The session comes from standard input: comments (#) are shown, commands are shown after a prompt and run.
run_session() {
    while IFS= read -r line; do
        case $line in
        '#'*) printf 'echo \\n%s\\n\n' "$line" ;;
        *)
            printf 'echo (gdb) %s\\n\n' "$(printf '%s' "$line" | sed 's/\\/\\\\/g; s/"/\\"/g')"
            printf '%s\n' "$line"
            ;;
        esac
    done >"$tmp/script"
    echo "\$ gdb ${guest##*/}"
    "$gdb" -q -nx -batch -iex 'set pagination off' -iex 'set confirm off' -iex 'set width 110' \
        -iex 'set debuginfod enabled off' -x "$tmp/script" "$guest" </dev/null 2>&1 | tee "$tmp/output" || status=$?
}

found() {
    grep -Eq -e "$1" "$tmp/output" && return
    echo "demo: FAILED: the session does not show: $1" >&2
    status=1
}

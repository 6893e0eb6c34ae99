#!/bin/sh
# What quickstart and run-tests stand on: trees in odd places, compilers, progress.
set -u
srcdir=${top_srcdir:-.}
setup=$(cd "$srcdir" && pwd)/build-aux/setup.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0
failed=0

claim() {
    name=$1
    shift
    if ("$@") >"$tmp/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name:"
        cat "$tmp/log"
    fi
}

a_tree_whose_path_has_a_space_is_built_by_another_name() {
    mkdir -p "$tmp/a tree's" "$tmp/cache"
    touch "$tmp/a tree's/file"
    XDG_CACHE_HOME=$tmp/cache
    top="$tmp/a tree's"
    # shellcheck disable=SC1090
    . "$setup"
    plain_path || return 1
    echo "$top"
    case $top in *[!A-Za-z0-9_./-]*) return 1 ;; esac
    [ -e "$top/file" ]
}

an_ordinary_path_stays() {
    top=$tmp/plain
    # shellcheck disable=SC1090
    . "$setup"
    plain_path && [ "$top" = "$tmp/plain" ]
}

clang_alone_suffices() {
    mkdir "$tmp/bin"
    printf '#!/bin/sh\n' >"$tmp/bin/clang"
    chmod +x "$tmp/bin/clang"
    # shellcheck disable=SC1090
    . "$setup"
    PATH=$tmp/bin
    CC=
    [ "$(compiler)" = clang ] && CC="clang -m32" && [ "$(compiler)" = "clang -m32" ]
}

a_compiler_of_several_words_is_not_missing() {
    mkdir "$tmp/words"
    printf '#!/bin/sh\n' >"$tmp/words/ccache"
    chmod +x "$tmp/words/ccache"
    # shellcheck disable=SC1090
    . "$setup"
    PATH=$tmp/words:/usr/bin:/bin
    CC="ccache cc-of-nowhere"
    need_build_tools
    case " $missing " in *" gcc "*) return 1 ;; esac
}

what_fails_is_shown_with_its_status() {
    mkdir -p "$tmp/t/src" "$tmp/t/targets"
    top=$tmp/t
    # shellcheck disable=SC1090
    . "$setup"
    out=$(quietly sh -c 'echo the reason; exit 3' 2>&1)
    [ $? -eq 3 ] || return 1
    case $out in *"the reason"*) ;; *) return 1 ;; esac
    [ -z "$(quietly echo noise | grep noise)" ]
}

what_it_does_before_anything_is_compiled_is_said() {
    mkdir -p "$tmp/t/src" "$tmp/t/targets"
    touch "$tmp/t/src/a.c" "$tmp/t/targets/b.c"
    # shellcheck disable=SC1090
    . "$setup"
    top=$tmp/t
    quiet_every=1
    out=$(quietly sh -c 'sleep 2; echo "  CC       a.o"; sleep 2')
    case $out in *" 0 of "*) return 1 ;; esac
    case $out in *"looking at what this system has"*"1 of 2 files compiled"*) ;; *) return 1 ;; esac
}

for name in a_tree_whose_path_has_a_space_is_built_by_another_name an_ordinary_path_stays clang_alone_suffices \
    a_compiler_of_several_words_is_not_missing what_fails_is_shown_with_its_status \
    what_it_does_before_anything_is_compiled_is_said; do
    claim "$name" "$name"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]

# Rules about the source itself.
dist_check_SCRIPTS = build-aux/check-arrows build-aux/check-banners build-aux/check-exports build-aux/check-host-calls
# (The ordinary build has the same source, and smaller objects to look through.)
if !SANITIZED
TESTS += $(dist_check_SCRIPTS) build-aux/check-layouts
endif
EXTRA_DIST += build-aux/layouts.golden build-aux/setup.sh quickstart run-tests README.md LICENSE .ci/run .clang-format .editorconfig

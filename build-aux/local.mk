# Rules about the source itself.
dist_check_SCRIPTS = build-aux/check-arrows build-aux/check-host-calls
TESTS += build-aux/check-arrows build-aux/check-host-calls
EXTRA_DIST += build-aux/setup.sh quickstart run-tests README.md LICENSE .ci/run .clang-format .editorconfig

# Files of tests/: a folder for each room, and
#   whole    the machine without a server: states, engines, guests run to their end
#   guests   other people's guests, and comparisons with QEMU
#   e2e      the program, by its protocol and its command line
include tests/base/local.mk
include tests/softfloat/local.mk
include tests/host/local.mk
include tests/block/local.mk
include tests/vm/local.mk
include tests/checkpoint/local.mk
include tests/replay/local.mk
include tests/rsp/local.mk
include tests/i386/local.mk
include tests/aarch64/local.mk
include tests/whole/local.mk
include tests/guests/local.mk
include tests/e2e/local.mk

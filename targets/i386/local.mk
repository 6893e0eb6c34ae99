noinst_LIBRARIES += libi386.a
libi386_a_SOURCES =
include targets/i386/pc/local.mk
include targets/i386/boot/local.mk

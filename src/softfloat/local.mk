noinst_LIBRARIES += libsoftfloat.a
libsoftfloat_a_SOURCES = \
	src/softfloat/softfloat.h \
	src/softfloat/softfloat.c \
	src/softfloat/floatx80.h \
	src/softfloat/floatx80.c \
	src/softfloat/x80parts.h \
	src/softfloat/parts.h \
	src/softfloat/transcendental.c

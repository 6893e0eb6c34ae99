noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	src/base/aes.c src/base/aes.h \
	src/base/big_memory.c src/base/big_memory.h \
	src/base/block_source.h \
	src/base/buffer.c src/base/buffer.h \
	src/base/bytes.h \
	src/base/capture.c src/base/capture.h \
	src/base/code_memory.h \
	src/base/error.c src/base/error.h \
	src/base/file_call.h \
	src/base/usb_message.h \
	src/base/file_kind.h \
	src/base/guess.c src/base/guess.h \
	src/base/hash.c src/base/hash.h \
	src/base/option_list.c src/base/option_list.h \
	src/base/page_set.c src/base/page_set.h \
	src/base/types.h

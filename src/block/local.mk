noinst_LIBRARIES += libblock.a
libblock_a_SOURCES = \
	src/block/block.c src/block/block.h \
	src/block/qcow2.c src/block/qcow2.h \
	src/block/qcow2_write.c src/block/qcow2_write.h

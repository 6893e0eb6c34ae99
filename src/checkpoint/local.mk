noinst_LIBRARIES += libcheckpoint.a
libcheckpoint_a_SOURCES = src/checkpoint/checkpoint.c src/checkpoint/checkpoint.h src/checkpoint/checkpoint_internal.h \
	src/checkpoint/page_codec.c src/checkpoint/page_codec.h src/checkpoint/page_source.h src/checkpoint/page_store.c src/checkpoint/page_tree.c src/checkpoint/page_tree.h \
	src/checkpoint/thin.c src/checkpoint/view.c

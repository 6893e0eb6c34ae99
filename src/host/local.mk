noinst_LIBRARIES += libhost.a
libhost_a_SOURCES = \
	src/host/audiodev.c src/host/audiodev.h \
	src/host/block_file.c src/host/block_file.h \
	src/host/block_nbd.c src/host/block_nbd.h \
	src/host/chardev.c src/host/chardev.h \
	src/host/code_memory.c src/host/code_memory.h \
	src/host/clock.c src/host/clock.h \
	src/host/file.c src/host/file.h \
	src/host/file_system.c \
	src/host/files.c src/host/files.h src/host/files_internal.h \
	src/host/host_memory.c src/host/host_memory.h \
	src/host/output.c src/host/output.h \
	src/host/path.c src/host/path.h \
	src/host/poller.c src/host/poller.h \
	src/host/net_fragments.c src/host/net_fragments.h \
	src/host/net_pcap.c \
	src/host/net_socket.c \
	src/host/net_tap.c \
	src/host/net_user.c \
	src/host/netdev.c src/host/netdev.h src/host/netdev_kinds.h \
	src/host/stream.c src/host/stream.h \
	src/host/tpmdev.c src/host/tpmdev.h \
	src/host/usbdev.c src/host/usbdev.h \
	src/host/writer.c src/host/writer.h

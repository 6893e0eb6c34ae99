noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = \
	src/server/chardev_options.c src/server/chardev_options.h \
	src/server/gdb_helper.c \
	src/server/guest_clock.c src/server/guest_clock.h \
	src/server/images.c src/server/images.h \
	src/server/option_completion.c src/server/option_help.c \
	src/server/option_table.c src/server/option_table.h \
	src/server/drives.c src/server/drives.h \
	src/server/option_drives.c src/server/option_drives.h \
	src/server/option_net.c src/server/option_net.h \
	src/server/server_net.c \
	src/server/options.c src/server/options.h \
	src/server/picture.c src/server/picture.h \
	src/server/recordings.c src/server/recordings.h src/server/recordings_info.c \
	src/server/server.c src/server/server.h src/server/server_internal.h \
	src/server/server_asked.c \
	src/server/server_branch.c \
	src/server/server_calls.c \
	src/server/server_client.c \
	src/server/server_drives.c \
	src/server/server_flash.c \
	src/server/server_history.c \
	src/server/server_monitor.c \
	src/server/server_ports.c \
	src/server/server_query.c src/server/server_query.h \
	src/server/server_record.c \
	src/server/server_semihost.c \
	src/server/server_target.c \
	src/server/server_trace.c

noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = \
	src/server/backends.c src/server/backends.h \
	src/server/chardev_options.c src/server/chardev_options.h \
	src/server/gdb_helper.c \
	src/server/guest_clock.c src/server/guest_clock.h \
	src/server/images.c src/server/images.h \
	src/server/option_completion.c src/server/option_help.c \
	src/server/option_table.c src/server/option_table.h \
	src/server/drives.c src/server/drives.h \
	src/server/option_drives.c src/server/option_drives.h \
	src/server/option_fsdev.c src/server/option_fsdev.h \
	src/server/option_net.c src/server/option_net.h \
	src/server/option_tpm.c src/server/option_tpm.h \
	src/server/net_dump.c src/server/net_dump.h \
	src/server/server_device.c \
	src/server/server_dump.c \
	src/server/server_words.c \
	src/server/server_files.c \
	src/server/server_net.c \
	src/server/server_sound.c \
	src/server/server_tpm.c \
	src/server/server_usb.c \
	src/server/option_usb.c src/server/option_usb.h \
	src/server/server_resets.c \
	src/server/server_wire.c \
	src/server/options.c src/server/options.h \
	src/server/picture.c src/server/picture.h \
	src/server/recordings.c src/server/recordings.h src/server/recordings_info.c \
	src/server/server.c src/server/server.h src/server/server_internal.h \
	src/server/server_asked.c \
	src/server/server_branch.c \
	src/server/server_calls.c \
	src/server/server_client.c \
	src/server/server_run.c \
	src/server/server_drives.c \
	src/server/server_film.c \
	src/server/server_flash.c \
	src/server/server_history.c \
	src/server/server_monitor.c \
	src/server/server_ports.c \
	src/server/server_query.c src/server/server_query.h \
	src/server/server_record.c \
	src/server/server_screen.c \
	src/server/server_semihost.c \
	src/server/server_target.c \
	src/server/server_trace.c

# The helper for gdb: installed, for `source` in a .gdbinit; and as bytes, for --print-gdb-helper.
dist_pkgdata_DATA = src/server/hindcast-gdb.py
nodist_libserver_a_SOURCES = hindcast_gdb_py.c
CLEANFILES += hindcast_gdb_py.c
hindcast_gdb_py.c: $(srcdir)/src/server/hindcast-gdb.py
	$(AM_V_GEN)(echo '#include <stddef.h>'; \
	  echo 'extern const unsigned char hindcast_gdb_py[]; extern const size_t hindcast_gdb_py_bytes;'; \
	  echo 'const unsigned char hindcast_gdb_py[] = {'; \
	  od -An -v -tu1 $(srcdir)/src/server/hindcast-gdb.py | sed 's/[0-9][0-9]*/&,/g'; \
	  echo '};'; \
	  echo 'const size_t hindcast_gdb_py_bytes = sizeof hindcast_gdb_py;') >$@.tmp && mv $@.tmp $@

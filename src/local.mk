noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = src/server.c src/server.h src/server_internal.h src/server_monitor.c src/server_record.c src/server_target.c src/server_flash.c src/server_semihost.c

bin_PROGRAMS += hindcast
hindcast_SOURCES = src/main.c src/options.c src/options.h src/recordings.c src/recordings.h
hindcast_LDADD = $(HC_LIBS) $(HC_SYSLIBS)

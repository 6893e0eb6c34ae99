bin_PROGRAMS += hindcast
hindcast_SOURCES = src/main.c
hindcast_LDADD = $(HC_LIBS) $(HC_SYSLIBS)

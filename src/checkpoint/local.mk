noinst_LIBRARIES += libcheckpoint.a
libcheckpoint_a_SOURCES = 

noinst_LIBRARIES += libreplay.a
libreplay_a_SOURCES = 

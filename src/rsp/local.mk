noinst_LIBRARIES += librsp.a
librsp_a_SOURCES = 

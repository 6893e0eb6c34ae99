noinst_LIBRARIES += libi386.a
libi386_a_SOURCES =

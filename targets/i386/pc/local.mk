libi386_a_SOURCES += targets/i386/pc.h

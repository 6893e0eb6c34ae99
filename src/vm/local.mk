noinst_LIBRARIES += libvm.a
libvm_a_SOURCES = \
	src/vm/cpu.h \
	src/vm/device.h \
	src/vm/event.h \
	src/vm/exec.h \
	src/vm/flags.c src/vm/flags.h src/vm/flags_inline.h \
	src/vm/footprint.c src/vm/footprint.h \
	src/vm/machine.c src/vm/machine.h \
	src/vm/memory.c src/vm/memory.h \
	src/vm/trap.c src/vm/trap.h \
	src/vm/uop.def src/vm/uop.h

noinst_LIBRARIES += libaarch64.a
libaarch64_a_SOURCES = targets/aarch64/cpu.h
# instructions: decoding, lowering, helpers
libaarch64_a_SOURCES += targets/aarch64/lower.h
# system: exceptions, translation, system registers, debug, wiring
# floating point and SIMD
# board and loaders
libaarch64_a_SOURCES += targets/aarch64/virt.h

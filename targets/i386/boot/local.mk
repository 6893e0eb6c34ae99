libi386_a_SOURCES += targets/i386/boot/bios.c targets/i386/boot/boot.c targets/i386/boot/boot.h \
	targets/i386/boot/bzimage.c targets/i386/boot/elf.c targets/i386/boot/linuxrom.c targets/i386/boot/multiboot.c \
	targets/i386/boot/multiboot2.c targets/i386/boot/pvh.c targets/i386/boot/video.c

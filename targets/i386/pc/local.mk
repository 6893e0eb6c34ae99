libi386_a_SOURCES += targets/i386/pc.h \
	targets/i386/pc/aml.c targets/i386/pc/aml.h targets/i386/pc/apic.c targets/i386/pc/apic.h \
	targets/i386/pc/board.h targets/i386/pc/coreboot.c targets/i386/pc/dma.c targets/i386/pc/dma.h \
	targets/i386/pc/dsdt.c targets/i386/pc/dsdt.h \
	targets/i386/pc/fdc.c targets/i386/pc/fdc.h targets/i386/pc/glue.c targets/i386/pc/glue.h \
	targets/i386/pc/hpet.c targets/i386/pc/hpet.h \
	targets/i386/pc/i440fx.c targets/i386/pc/i440fx.h targets/i386/pc/i8042.c targets/i386/pc/i8042.h \
	targets/i386/pc/ioapic.c targets/i386/pc/ioapic.h targets/i386/pc/memmap.c \
	targets/i386/pc/pc.c \
	targets/i386/pc/pic.c targets/i386/pc/pic.h targets/i386/pc/piix3.c targets/i386/pc/piix3.h \
	targets/i386/pc/piix4_pm.c targets/i386/pc/piix4_pm.h targets/i386/pc/pcspk.c targets/i386/pc/pcspk.h \
	targets/i386/pc/pit.c targets/i386/pc/pit.h \
	targets/i386/pc/ps2.h targets/i386/pc/ps2kbd.c \
	targets/i386/pc/ps2mouse.c targets/i386/pc/rtc.c targets/i386/pc/rtc.h \
	targets/i386/pc/smbios.c targets/i386/pc/smbios.h \
	targets/i386/pc/tables.c targets/i386/pc/tables.h

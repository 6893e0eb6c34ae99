/* The PC board's own wiring, shared by the files that make up the board. */
#ifndef HINDCAST_I386_PC_BOARD_H
#define HINDCAST_I386_PC_BOARD_H

#include "base/buffer.h"
#include "i386/model.h"
#include "i386/boot/boot.h"
#include "i386/pc.h"
#include "i386/pc/apic.h"
#include "i386/pc/dma.h"
#include "i386/pc/fdc.h"
#include "i386/pc/glue.h"
#include "i386/pc/hpet.h"
#include "i386/pc/i440fx.h"
#include "i386/pc/i8042.h"
#include "i386/pc/ioapic.h"
#include "vm/dev/boot_order.h"
#include "vm/dev/parts.h"
#include "vm/dev/tpm.h"
#include "vm/dev/tpm_ppi.h"
#include "vm/dev/pci_host.h"
#include "i386/pc/pic.h"
#include "i386/pc/piix3.h"
#include "i386/pc/piix4_pm.h"
#include "i386/pc/pcspk.h"
#include "i386/pc/pit.h"
#include "vm/dev/ports.h"
#include "i386/pc/ps2.h"
#include "i386/pc/rtc.h"
#include "vm/dev/cfi_flash.h"
#include "vm/dev/fwcfg.h"
#include "vm/dev/isa_dma.h"
#include "vm/dev/ide.h"
#include "vm/dev/uart16550.h"
#include "vm/dev/vga.h"

struct i386_cpu;

struct pc {
    struct machine *machine;
    struct i386_cpu *cpu;
    struct i386_model model;     /* config.cpu_model, taken apart */
    struct pc_config config;     /* a copy; images and strings stay the caller's */
    struct boot_image modules[PC_MAX_MODULES];
    struct boot_plan plan;       /* direct boot */
    uint8_t *unpacked;           /* the kernel, if its file is compressed; else NULL */
    struct buffer tables;        /* direct boot: firmware tables for TABLES_BASE */
    bool has_floppy;             /* config.parts, which lives no longer than pc_create(), has a drive for one */
    struct tpm_description tpm;  /* the same of a TPM */
    uint16_t tables_pm_base;     /* firmware: what the tables in fwcfg_wiring say that the PM I/O space's base is */
    struct buffer coreboot;      /* and for COREBOOT_TABLE_BASE */
    struct ports ports;
    struct boot_order boot;      /* what firmware can boot from */

    struct device *pic, *apic, *ioapic, *pit, *rtc, *dma, *kbd, *mouse, *i8042, *glue, *debugcon, *pci, *i440fx,
        *piix3, *ide, *pm, *fwcfg, *uart[PC_MAX_SERIAL];
    struct device *vga;          /* NULL: there is no display */
    struct device *hpet;         /* NULL: there is none */
    struct device *flash[2];     /* NULL: there is no such bank */
    struct device *pcspk;        /* NULL: nobody hears it */
    struct device *fdc;          /* NULL: no floppy drive, and no controller for it */
    struct pic_wiring pic_wiring;
    struct apic_bus apics;
    struct apic_wiring apic_wiring[MACHINE_MAX_CPUS];
    struct ioapic_wiring ioapic_wiring;
    struct pit_wiring pit_wiring;
    struct pcspk_wiring pcspk_wiring;
    struct hpet_wiring hpet_wiring;
    struct rtc_wiring rtc_wiring;
    struct ps2_wiring kbd_wiring, mouse_wiring;
    struct i8042_wiring i8042_wiring;
    struct glue_wiring glue_wiring;
    struct pci_bus pci_bus;
    struct ide_wiring ide_wiring;
    struct fdc_wiring fdc_wiring;
    struct dma_wiring dma_wiring;
    struct isa_dma isa_dma;
    struct i440fx_wiring i440fx_wiring;
    struct piix3_wiring piix3_wiring;
    struct piix4_pm_wiring pm_wiring;
    struct vga_wiring vga_wiring;
    struct cfi_flash_wiring flash_wiring[2];
    struct fwcfg_wiring fwcfg_wiring;
    struct uart16550_wiring uart_wiring[PC_MAX_SERIAL];

    unsigned pm_ports;           /* port range of the PM I/O space */
    /* Regions of the memory map that move or switch. */
    unsigned apic_region;
    unsigned smram_region;       /* open to everybody */
    unsigned vga_text_region;
    unsigned shadow_region[I440FX_SEGMENTS]; /* the segment's DRAM */
    unsigned write_region[I440FX_SEGMENTS];  /* writes to DRAM, reads from the bus */
    struct device *shadow;       /* who takes those writes */
    bool ready;                  /* all of the above is set up */
};

/* Memory map (memmap.c). */
void pc_map_memory(struct pc *pc);
/* Make the map follow PAM, SMRAM and IA32_APIC_BASE. */
void pc_update_map(struct pc *pc);
/* The display's part of that. */
void pc_update_vga_map(struct pc *pc);
extern const struct device_ops pc_shadow_ops;

#endif

/* The 82077AA floppy disk controller with its drives: see fdc.c. */
#ifndef HINDCAST_I386_PC_FDC_H
#define HINDCAST_I386_PC_FDC_H

#include "base/error.h"
#include "vm/device.h"
#include "vm/drive.h"

#define FDC_DRIVES  2
#define FDC_CHANNEL 2u /* of the DMA controller */
#define FDC_IRQ     6u

/* Kinds of drives, as CMOS has them. */
enum fdc_kind { FDC_NO_DRIVE, FDC_360K, FDC_1200K, FDC_720K, FDC_1440K, FDC_2880K };

struct fdc_wiring {
    struct line irq;
    struct device *dma;
    struct drive *drive[FDC_DRIVES];
    enum fdc_kind kind[FDC_DRIVES];
};

/* Ports 3F0h-3F5h, and 3F7h. */
enum { FDC_PORTS, FDC_INPUT };

extern const struct device_ops fdc_ops;

/* Put a drive at a place (FDC_DRIVES of them), of the kind that reads its medium. 0, or -EINVAL: no drive reads a floppy of
 * its size, or the place is taken. */
int fdc_plug(struct device *fdc, struct drive *d, unsigned place, struct error *err);
/* As a BIOS leaves it. */
void fdc_firmware_setup(struct device *fdc);

#endif

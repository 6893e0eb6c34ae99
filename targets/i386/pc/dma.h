/* The two 8237A DMA controllers and their page registers: see dma.c. */
#ifndef HINDCAST_I386_PC_DMA_H
#define HINDCAST_I386_PC_DMA_H

#include "vm/device.h"

/* Ranges: 00h-0Fh, C0h-DFh, and the page registers 81h-8Fh (from 80h). */
enum { DMA_8BIT, DMA_16BIT, DMA_PAGES };

extern const struct device_ops dma_ops;

#endif

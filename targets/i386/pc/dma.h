/* The two 8237A DMA controllers and their page registers: see dma.c. */
#ifndef HINDCAST_I386_PC_DMA_H
#define HINDCAST_I386_PC_DMA_H

#include "vm/device.h"

/* Ranges: 00h-0Fh, C0h-DFh, and the page registers 81h-8Fh (from 80h). */
enum { DMA_8BIT, DMA_16BIT, DMA_PAGES };

/* Wiring: who moves bytes late, and wants to before a channel is looked at or changed. */
struct dma_wiring {
    struct {
        void (*look)(void *arg); /* NULL: nobody */
        void *arg;
    } users[8];
};

extern const struct device_ops dma_ops;

/* As a BIOS leaves it: the first chip's requests go through channel 4. */
void dma_firmware_setup(struct device *dma);

/* For devices on the ISA bus. Channels are 0 to 7; of 4 to 7, which move words, `len` is even. */

/* The level of the request line, as the status register has it. */
void dma_request(struct device *dma, unsigned channel, bool level);
/* Move up to `len` bytes between the device and memory, in the direction that the channel's mode has (verify:
 * nothing moves, addresses do). Returns how many; *ended: the last of them came with terminal count. */
uint32_t dma_transfer(struct device *dma, unsigned channel, uint8_t *bytes, uint32_t len, bool *ended);

#endif

/*
 * Trusted Platform Modules: what a TPM's registers have behind them, which is outside of the machine.
 *
 * A command goes out like a serial port's bytes (machine_output()), once, past the live edge only; its answer comes in like
 * them, as an event with a position. Commands are numbered, so an answer that nobody waits for any more is known as such.
 * The TPM's own state is the outside's. With each answer comes what it is then, for whoever goes on live from there: no part of
 * the machine's state, and not looked at by the device.
 *
 * Only TPM 2.0.
 */
#ifndef HINDCAST_VM_DEV_TPM_H
#define HINDCAST_VM_DEV_TPM_H

#include "vm/dev/parts.h"

#define TPM_BUFFER_BYTES 4096u /* of a command, and of an answer */
#define TPM_HEADER_BYTES 10u   /* tag, length, code: big-endian */
#define TPM_LOCALITIES   5u
#define TPM_REGION_BYTES (TPM_LOCALITIES * 0x1000u)
#define TPM_NO_IRQ       255u

/* ---- state that every kind has ---- */

DEVICE_STATE_BEGIN
struct tpm_core {
    uint32_t sequence;    /* number of the last command */
    uint32_t command_len; /* bytes of it */
    uint8_t locality;     /* it came from */
    uint8_t busy;         /* its answer is waited for */
    uint8_t established;  /* a dynamic root of trust was, since the TPM was told to forget it */
    uint8_t reserved[5];
};
DEVICE_STATE_END

/* The wiring of each kind begins with it. */
struct tpm {
    struct tpm_core *core;   /* in the device's state */
    const uint8_t *command;  /* the last one, while core->busy */
    uint32_t buffer_bytes;   /* of the longest command, and answer */
    paddr_t base;            /* of its registers */
};

/* Send the `len` bytes at `command`, which stay there while core->busy. */
void tpm_send(struct device *dev, unsigned locality, uint32_t len);
/* What is being done is to end early: an answer comes all the same. */
void tpm_cancel(struct device *dev);
/* The answer is not waited for any more. */
void tpm_abandon(struct device *dev);
/* A debugger's or the board's reset. */
void tpm_core_reset(struct device *dev);
/* Forget that a dynamic root of trust was established. */
void tpm_reset_established(struct device *dev, unsigned locality);
/* Something came. True: it is the answer that is waited for, whose bytes *bytes and *len get. */
bool tpm_take(struct device *dev, const struct event *e, const uint8_t **bytes, uint32_t *len);
bool tpm_core_possible(const struct tpm_core *c);

/* ---- plugging in ---- */

#define TPM_KEYS {"tpmdev", "ID"}
#define TPM_PPI_KEY {"ppi", "on|off"}
struct region;
/* Make the beginning of its wiring (`t`; its base is the region's), map its registers, as `r` has them but for the device, and connect it as
 * its property tpmdev says. 0 or -EINVAL with *err: that lacks, or the machine has a TPM. */
int tpm_plug(struct device *dev, const struct region *r, const struct tpm *t, const struct option_list *props, struct error *err);

/* What the devices of a machine say of its TPM, before they are made: for the tables that boards build. */
struct tpm_description {
    bool there;
    bool crb;
    bool ppi;    /* with a physical presence interface (vm/dev/tpm_ppi.h) */
    uint8_t irq; /* that was asked for; TPM_NO_IRQ: none was */
};
struct tpm_description tpm_describe_parts(const struct machine_parts *p);

/* ---- for the host's side ---- */

enum tpm_request { TPM_COMMAND = 1, TPM_CANCEL, TPM_RESET, TPM_RESET_ESTABLISHED };

/* What goes out of the device. */
struct tpm_output {
    enum tpm_request request;
    unsigned locality;
    uint32_t sequence;
    const uint8_t *bytes;    /* TPM_COMMAND */
    uint32_t len;
};
/* False: that is none. */
bool tpm_parse(const void *data, size_t len, struct tpm_output *out);

/* What comes in: these bytes, the answer, and whatever else is to be remembered. `sequence` 0: no answer. */
#define TPM_INPUT_HEAD 12u
void tpm_input_head(uint8_t *head, uint32_t sequence, bool established, uint32_t len);
/* Where in such an event the rest begins; 0: it is none. */
size_t tpm_input_rest(const uint8_t *data, size_t len);

/* Bytes of the longest command, and answer, of the device. */
uint32_t tpm_buffer_bytes(const struct device *dev);
/* The command that a TPM has not answered where the machine stands. False: it has answered all. */
bool tpm_pending(const struct device *dev, struct tpm_output *out);

#endif

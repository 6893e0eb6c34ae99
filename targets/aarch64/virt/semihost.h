/*
 * Semihosting's state and what its two files share: semihost.c (the trap, the
 * console, time, the end) and semihost_files.c (handles).
 */
#ifndef HINDCAST_AARCH64_VIRT_SEMIHOST_H
#define HINDCAST_AARCH64_VIRT_SEMIHOST_H

#include "aarch64/virt/board.h"

#define SEMIHOST_HANDLES    32u
#define SEMIHOST_NAME_MAX   255u
#define SEMIHOST_INPUT_MAX  1024u

enum semihost_kind {
    SEMIHOST_FREE,
    SEMIHOST_CONSOLE_IN,   /* ":tt", opened for reading */
    SEMIHOST_CONSOLE_OUT,  /* ":tt", opened for writing or appending */
    SEMIHOST_FEATURES,     /* ":semihosting-features" */
    SEMIHOST_FILE,
    SEMIHOST_KINDS
};

DEVICE_STATE_BEGIN
struct semihost_handle {
    uint64_t file;            /* SEMIHOST_FILE: number of the open file, file_request.file */
    uint64_t position;        /* where the next read or write is */
    uint32_t kind;            /* enum semihost_kind */
    uint32_t access;          /* FILE_ACCESS_*, FILE_APPEND */
    char name[SEMIHOST_NAME_MAX + 1]; /* SEMIHOST_FILE: NUL-terminated */
};

struct semihost_state {
    uint64_t opened;          /* files that were ever opened (not reset) */
    uint32_t error;           /* SYS_ERRNO */
    uint32_t exit_reason;     /* of SYS_EXIT */
    uint32_t waiting;         /* the instruction that reads the console waits for input */
    uint32_t ended;           /* the console's input has an end after what is in `input` */
    uint32_t first, count;    /* of `input`, a ring */
    uint8_t input[SEMIHOST_INPUT_MAX];
    struct semihost_handle handles[SEMIHOST_HANDLES];
};
DEVICE_STATE_END

/* An operation in progress. */
struct semihost_call {
    struct virt *v;
    struct a64_cpu *cpu;      /* whose call it is */
    struct semihost_state *st;
    uint64_t args[4];         /* the fields of the parameter block */
    bool wait;                /* cannot be answered before there is input */
};

/* What operations return that fail. */
#define SEMIHOST_FAILED UINT64_MAX

/* ---- semihost.c ---- */
uint64_t semihost_fail(struct semihost_call *c, uint32_t error);
/* Guest memory, as the instruction would reach it. False: it would fault. */
bool semihost_load(struct semihost_call *c, uint64_t va, void *buf, size_t len);
bool semihost_store(struct semihost_call *c, uint64_t va, const void *buf, size_t len);
/* Could all of it be stored to? */
bool semihost_writable(struct semihost_call *c, uint64_t va, size_t len);
/* Bytes for the console. */
void semihost_print(struct semihost_call *c, const void *buf, size_t len);

/* ---- semihost_files.c: operations; each returns X0 ---- */
uint64_t semihost_open(struct semihost_call *c);
uint64_t semihost_close(struct semihost_call *c);
uint64_t semihost_write(struct semihost_call *c);
uint64_t semihost_read(struct semihost_call *c);
uint64_t semihost_istty(struct semihost_call *c);
uint64_t semihost_seek(struct semihost_call *c);
uint64_t semihost_flen(struct semihost_call *c);
uint64_t semihost_remove(struct semihost_call *c);
uint64_t semihost_rename(struct semihost_call *c);

#endif

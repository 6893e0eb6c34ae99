/* System management BIOS structures: see smbios.c. */
#ifndef HINDCAST_I386_PC_SMBIOS_H
#define HINDCAST_I386_PC_SMBIOS_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/types.h"

#define SMBIOS_UUID_BYTES 16u

struct smbios_config {
    const char *const *options;  /* as given to --smbios: "type=N,KEY=VALUE..." */
    unsigned count;
    uint8_t uuid[SMBIOS_UUID_BYTES]; /* as it is written; used unless type 1 has one */
    bool entry_64;               /* the entry point of version 3.0 rather than 2.1 */
    bool firmware;               /* firmware says by itself what it is */
    unsigned sockets, cores, threads; /* cores of a socket, threads of a core */
    uint32_t cpu_signature, cpu_features; /* CPUID.1 */
    uint64_t memory_bytes, low_bytes; /* in all, and below 4 GiB */
};

/* "01234567-89ab-cdef-0123-456789abcdef" */
bool smbios_parse_uuid(const char *text, uint8_t uuid[SMBIOS_UUID_BYTES]);
/* Append the entry point and the structures, which will lie at `address`. 0, or -EINVAL with a text that names the
 * option. */
int smbios_build(struct buffer *entry, struct buffer *structures, const struct smbios_config *config, uint32_t address,
                 struct error *err);

#endif

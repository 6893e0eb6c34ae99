/*
 * What the machine is called, for people and for dmidecode (DMTF DSP0134, System Management BIOS 2.8 and 3.0):
 * system, chassis, processors, memory, and what --smbios says in QEMU's words. The contents are those of QEMU's
 * tables with other names.
 *
 * Structures: 0 BIOS (without firmware, or if asked for), 1 system, 2 baseboard (if asked for), 3 chassis, 4
 * processor, 11 OEM strings (if there are any), 16, 17 and 19 memory, 32 boot, 127 end.
 *
 * To add a field: its key in keys_of(), its use in the structure.
 */
#include "i386/pc/smbios.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/option_list.h"

#define MAKER   "hindcast"
#define PRODUCT "Standard PC (i440FX + PIIX, 1996)"
#define BIOS_DATE "04/01/2014"
#define DIMM_BYTES ((uint64_t)16 << 30)
#define MAX_STRINGS 16u
#define MAX_OPTIONS 16u
#define NO_HANDLE 0xfffeu

/* Handles, as QEMU gives them. */
enum { HANDLE_BIOS = 0, HANDLE_SYSTEM = 0x100, HANDLE_BOARD = 0x200, HANDLE_CHASSIS = 0x300, HANDLE_CPU = 0x400,
       HANDLE_OEM = 0xe00, HANDLE_ARRAY = 0x1000, HANDLE_DIMM = 0x1100, HANDLE_RANGE = 0x1300, HANDLE_BOOT = 0x2000,
       HANDLE_END = 0x7f00 };

static const struct option_key *keys_of(uint64_t type)
{
    static const struct option_key bios[] = {{"type", "0"}, {"vendor", NULL}, {"version", NULL}, {"date", "MM/DD/YYYY"},
                                             {"release", "MAJOR.MINOR"}, {"uefi", "on|off"}, {NULL, NULL}};
    static const struct option_key system[] = {{"type", "1"}, {"manufacturer", NULL}, {"product", NULL}, {"version", NULL},
                                               {"serial", NULL}, {"uuid", "UUID"}, {"sku", NULL}, {"family", NULL},
                                               {NULL, NULL}};
    static const struct option_key board[] = {{"type", "2"}, {"manufacturer", NULL}, {"product", NULL}, {"version", NULL},
                                              {"serial", NULL}, {"asset", NULL}, {"location", NULL}, {NULL, NULL}};
    static const struct option_key chassis[] = {{"type", "3"}, {"manufacturer", NULL}, {"version", NULL}, {"serial", NULL},
                                                {"asset", NULL}, {"sku", NULL}, {NULL, NULL}};
    static const struct option_key cpu[] = {{"type", "4"}, {"sock_pfx", NULL}, {"manufacturer", NULL}, {"version", NULL},
                                            {"serial", NULL}, {"asset", NULL}, {"part", NULL}, {"max-speed", "MHZ"},
                                            {"current-speed", "MHZ"}, {NULL, NULL}};
    static const struct option_key oem[] = {{"type", "11"}, {"value", "TEXT..."}, {NULL, NULL}};
    static const struct option_key dimm[] = {{"type", "17"}, {"loc_pfx", NULL}, {"bank", NULL}, {"manufacturer", NULL},
                                             {"serial", NULL}, {"asset", NULL}, {"part", NULL}, {"speed", "MTS"},
                                             {NULL, NULL}};

    switch (type) {
    case 0: return bios;
    case 1: return system;
    case 2: return board;
    case 3: return chassis;
    case 4: return cpu;
    case 11: return oem;
    case 17: return dimm;
    default: return NULL;
    }
}

/* ---- options ---- */

struct asked {
    struct option_list lists[MAX_OPTIONS];
    uint64_t types[MAX_OPTIONS];
    unsigned count;
};

static void asked_finish(struct asked *a)
{
    while (a->count)
        option_list_finish(&a->lists[--a->count]);
}

static int take_option(struct asked *a, const char *text, struct error *err)
{
    struct option_list *l = &a->lists[a->count];
    uint64_t *type = &a->types[a->count];
    const struct option_key *keys;

    if (a->count == MAX_OPTIONS)
        return error_set(err, -EINVAL, "--smbios: at most %u", MAX_OPTIONS);
    a->count++;
    *type = UINT64_MAX;
    if (option_list_parse(l, "--smbios", text, NULL, NULL, err) < 0 ||
        option_list_number(l, "type", 0, 255, type, err) < 0)
        return -EINVAL;
    keys = keys_of(*type);
    if (!keys)
        return error_set(err, -EINVAL, "--smbios %s: write type=N, one of 0, 1, 2, 3, 4, 11 and 17, and what it is to say", text);
    return option_list_check(l, keys, err);
}

static bool has(const struct asked *a, uint64_t type)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->types[i] == type)
            return true;
    return false;
}

/* What is said of a field, or `otherwise`. */
static const char *say(const struct asked *a, uint64_t type, const char *key, const char *otherwise)
{
    for (unsigned i = a->count; i-- > 0;)
        if (a->types[i] == type && option_list_get(&a->lists[i], key))
            return option_list_get(&a->lists[i], key);
    return otherwise;
}

static int say_number(const struct asked *a, uint64_t type, const char *key, uint16_t *out, struct error *err)
{
    uint64_t n = *out;

    for (unsigned i = 0; i < a->count; i++)
        if (a->types[i] == type && option_list_number(&a->lists[i], key, 0, UINT16_MAX, &n, err) < 0)
            return -EINVAL;
    *out = (uint16_t)n;
    return 0;
}

/* ---- structures ---- */

struct writer {
    struct buffer *b;
    size_t at;            /* of the structure in progress */
    const char *strings[MAX_STRINGS];
    unsigned nstrings;
    size_t largest;
    unsigned count;
};

static void byte(struct writer *w, unsigned n)
{
    buffer_append_byte(w->b, (uint8_t)n);
}

static void word(struct writer *w, unsigned n)
{
    buffer_append_le(w->b, n, 2);
}

static void begin(struct writer *w, unsigned type, unsigned handle)
{
    w->at = w->b->len;
    w->nstrings = 0;
    byte(w, type);
    byte(w, 0);
    word(w, handle);
}

/* The number of a string; NULL or empty: none. */
static void string(struct writer *w, const char *text)
{
    if (!text || !*text || w->nstrings == MAX_STRINGS) {
        byte(w, 0);
        return;
    }
    w->strings[w->nstrings++] = text;
    byte(w, w->nstrings);
}

static void end(struct writer *w)
{
    w->b->data[w->at + 1] = (uint8_t)(w->b->len - w->at);
    for (unsigned i = 0; i < w->nstrings; i++)
        buffer_append(w->b, w->strings[i], strlen(w->strings[i]) + 1);
    if (!w->nstrings)
        byte(w, 0);
    byte(w, 0);
    w->count++;
    if (w->b->len - w->at > w->largest)
        w->largest = w->b->len - w->at;
}

static int put_bios(struct writer *w, const struct asked *a, struct error *err)
{
    unsigned major = 0, minor = 0;
    const char *release = say(a, 0, "release", NULL);
    bool uefi = false;
    char rest;

    for (unsigned i = 0; i < a->count; i++)
        if (a->types[i] == 0 && option_list_switch(&a->lists[i], "uefi", &uefi, err) < 0)
            return -EINVAL;
    if (release && (sscanf(release, "%u.%u%c", &major, &minor, &rest) != 2 || major > 255 || minor > 255))
        return error_set(err, -EINVAL, "--smbios release=%s: write MAJOR.MINOR", release);
    begin(w, 0, HANDLE_BIOS);
    string(w, say(a, 0, "vendor", MAKER));
    string(w, say(a, 0, "version", "0"));
    word(w, 0xe800); /* its segment */
    string(w, say(a, 0, "date", BIOS_DATE));
    byte(w, 0);      /* 64 KiB */
    buffer_append_le(w->b, 1u << 3, 8); /* characteristics: not said */
    byte(w, 0);
    byte(w, uefi ? 0x1c : 0x14); /* a virtual machine; targeted content distribution */
    byte(w, major);
    byte(w, minor);
    word(w, 0xffff); /* no embedded controller */
    end(w);
    return 0;
}

/* The first three groups are little-endian numbers (7.2.1). */
static void put_uuid(struct writer *w, const uint8_t *u)
{
    buffer_append_le(w->b, get_be32(u), 4);
    buffer_append_le(w->b, (uint32_t)u[4] << 8 | u[5], 2);
    buffer_append_le(w->b, (uint32_t)u[6] << 8 | u[7], 2);
    buffer_append(w->b, u + 8, 8);
}

static int put_system(struct writer *w, const struct asked *a, const struct smbios_config *config, struct error *err)
{
    const char *text = say(a, 1, "uuid", NULL);
    uint8_t uuid[SMBIOS_UUID_BYTES];

    memcpy(uuid, config->uuid, sizeof(uuid));
    if (text && !smbios_parse_uuid(text, uuid))
        return error_set(err, -EINVAL, "--smbios uuid=%s: write it as 01234567-89ab-cdef-0123-456789abcdef", text);
    begin(w, 1, HANDLE_SYSTEM);
    string(w, say(a, 1, "manufacturer", MAKER));
    string(w, say(a, 1, "product", PRODUCT));
    string(w, say(a, 1, "version", "pc"));
    string(w, say(a, 1, "serial", NULL));
    put_uuid(w, uuid);
    byte(w, 6); /* woken by the power switch */
    string(w, say(a, 1, "sku", NULL));
    string(w, say(a, 1, "family", NULL));
    end(w);
    return 0;
}

static void put_board(struct writer *w, const struct asked *a)
{
    begin(w, 2, HANDLE_BOARD);
    string(w, say(a, 2, "manufacturer", MAKER));
    string(w, say(a, 2, "product", PRODUCT));
    string(w, say(a, 2, "version", "pc"));
    string(w, say(a, 2, "serial", NULL));
    string(w, say(a, 2, "asset", NULL));
    byte(w, 1); /* hosts the processors */
    string(w, say(a, 2, "location", NULL));
    word(w, HANDLE_CHASSIS);
    byte(w, 0x0a); /* motherboard */
    byte(w, 0);
    end(w);
}

static void put_chassis(struct writer *w, const struct asked *a)
{
    begin(w, 3, HANDLE_CHASSIS);
    string(w, say(a, 3, "manufacturer", MAKER));
    byte(w, 1); /* of another type */
    string(w, say(a, 3, "version", "pc"));
    string(w, say(a, 3, "serial", NULL));
    string(w, say(a, 3, "asset", NULL));
    byte(w, 3); /* boot-up, power supply, thermal state: safe; no security */
    byte(w, 3);
    byte(w, 3);
    byte(w, 2);
    buffer_append_le(w->b, 0, 8); /* OEM's, height, power cords, contained elements */
    string(w, say(a, 3, "sku", NULL));
    end(w);
}

static int put_cpu(struct writer *w, const struct asked *a, const struct smbios_config *config, unsigned n, struct error *err)
{
    unsigned cores = config->cores, threads = config->cores * config->threads;
    uint16_t most = 2000, now = 2000;
    char socket[64];

    if (say_number(a, 4, "max-speed", &most, err) < 0 || say_number(a, 4, "current-speed", &now, err) < 0)
        return -EINVAL;
    snprintf(socket, sizeof(socket), "%.40s %u", say(a, 4, "sock_pfx", "CPU"), n);
    begin(w, 4, HANDLE_CPU + n);
    string(w, socket);
    byte(w, 3); /* a central processor of another family */
    byte(w, 1);
    string(w, say(a, 4, "manufacturer", MAKER));
    buffer_append_le(w->b, config->cpu_signature, 4);
    buffer_append_le(w->b, config->cpu_features, 4);
    string(w, say(a, 4, "version", "pc"));
    byte(w, 0); /* voltage, external clock: unknown */
    word(w, 0);
    word(w, most);
    word(w, now);
    byte(w, 0x41); /* there is one, enabled */
    byte(w, 1);
    for (unsigned i = 0; i < 3; i++)
        word(w, 0xffff); /* caches: not described */
    string(w, say(a, 4, "serial", NULL));
    string(w, say(a, 4, "asset", NULL));
    string(w, say(a, 4, "part", NULL));
    byte(w, cores < 256 ? cores : 255);
    byte(w, cores < 256 ? cores : 255);
    byte(w, threads < 256 ? threads : 255);
    word(w, 2); /* characteristics: unknown */
    word(w, 1);
    if (config->entry_64) {
        word(w, cores);
        word(w, cores);
        word(w, threads);
    }
    end(w);
    return 0;
}

static void put_oem_strings(struct writer *w, const struct asked *a)
{
    size_t count;

    begin(w, 11, HANDLE_OEM);
    count = w->b->len;
    byte(w, 0);
    for (unsigned i = 0; i < a->count; i++)
        for (unsigned n = 0; a->types[i] == 11 && option_list_nth(&a->lists[i], "value", n); n++)
            if (w->nstrings < MAX_STRINGS && *option_list_nth(&a->lists[i], "value", n))
                w->strings[w->nstrings++] = option_list_nth(&a->lists[i], "value", n);
    w->b->data[count] = (uint8_t)w->nstrings;
    end(w);
}

static int put_dimm(struct writer *w, const struct asked *a, unsigned n, uint64_t bytes, struct error *err)
{
    uint16_t speed = 0;
    uint64_t mib = bytes >> 20;
    char place[64];

    if (say_number(a, 17, "speed", &speed, err) < 0)
        return -EINVAL;
    snprintf(place, sizeof(place), "%.40s %u", say(a, 17, "loc_pfx", "DIMM"), n);
    begin(w, 17, HANDLE_DIMM + n);
    word(w, HANDLE_ARRAY);
    word(w, NO_HANDLE);
    word(w, 0xffff); /* widths: unknown */
    word(w, 0xffff);
    word(w, mib < 0x7fff ? (unsigned)mib : 0x7fff);
    byte(w, 9); /* DIMM, in no set */
    byte(w, 0);
    string(w, place);
    string(w, say(a, 17, "bank", NULL));
    byte(w, 7); /* RAM */
    word(w, 2);
    word(w, speed);
    string(w, say(a, 17, "manufacturer", MAKER));
    string(w, say(a, 17, "serial", NULL));
    string(w, say(a, 17, "asset", NULL));
    string(w, say(a, 17, "part", NULL));
    byte(w, 0);
    buffer_append_le(w->b, mib < 0x7fff ? 0 : mib, 4);
    word(w, speed);
    for (unsigned i = 0; i < 3; i++)
        word(w, 0); /* voltages: unknown */
    end(w);
    return 0;
}

static void put_range(struct writer *w, unsigned n, uint64_t first, uint64_t bytes)
{
    uint64_t from = first >> 10, to = ((first + bytes) >> 10) - 1;
    bool small = to < UINT32_MAX;

    begin(w, 19, HANDLE_RANGE + n);
    buffer_append_le(w->b, small ? from : UINT32_MAX, 4);
    buffer_append_le(w->b, small ? to : UINT32_MAX, 4);
    word(w, HANDLE_ARRAY);
    byte(w, 1);
    buffer_append_le(w->b, small ? 0 : first, 8);
    buffer_append_le(w->b, small ? 0 : first + bytes - 1, 8);
    end(w);
}

static int put_memory(struct writer *w, const struct asked *a, const struct smbios_config *config, struct error *err)
{
    uint64_t all = config->memory_bytes, kib = all >> 10;
    unsigned dimms = (unsigned)((all + DIMM_BYTES - 1) / DIMM_BYTES);

    begin(w, 16, HANDLE_ARRAY);
    byte(w, 1); /* in another place, system memory, ECC */
    byte(w, 3);
    byte(w, 6);
    buffer_append_le(w->b, kib < 0x80000000u ? kib : 0x80000000u, 4);
    word(w, NO_HANDLE);
    word(w, dimms);
    buffer_append_le(w->b, kib < 0x80000000u ? 0 : all, 8);
    end(w);
    for (unsigned n = 0; n < dimms; n++)
        if (put_dimm(w, a, n, n + 1 < dimms ? DIMM_BYTES : all - n * DIMM_BYTES, err) < 0)
            return -EINVAL;
    put_range(w, 0, 0, config->low_bytes);
    if (all > config->low_bytes)
        put_range(w, 1, (uint64_t)1 << 32, all - config->low_bytes);
    return 0;
}

static void put_boot_and_end(struct writer *w)
{
    begin(w, 32, HANDLE_BOOT);
    buffer_append_le(w->b, 0, 7); /* no errors */
    end(w);
    begin(w, 127, HANDLE_END);
    end(w);
}

static int put_all(struct writer *w, const struct asked *a, const struct smbios_config *config, struct error *err)
{
    if ((has(a, 0) || !config->firmware) && put_bios(w, a, err) < 0)
        return -EINVAL;
    if (put_system(w, a, config, err) < 0)
        return -EINVAL;
    if (has(a, 2))
        put_board(w, a);
    put_chassis(w, a);
    for (unsigned n = 0; n < config->sockets; n++)
        if (put_cpu(w, a, config, n, err) < 0)
            return -EINVAL;
    if (has(a, 11))
        put_oem_strings(w, a);
    if (put_memory(w, a, config, err) < 0)
        return -EINVAL;
    put_boot_and_end(w);
    return 0;
}

/* ---- entry points (5.2) ---- */

static uint8_t checksum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;

    while (len--)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

static void put_entry_32(struct buffer *b, const struct writer *w, uint32_t address, size_t len)
{
    uint8_t e[31] = {'_', 'S', 'M', '_', 0, 31, 2, 8};

    put_le16(e + 8, (uint16_t)w->largest);
    memcpy(e + 16, "_DMI_", 5);
    put_le16(e + 22, (uint16_t)len);
    put_le32(e + 24, address);
    put_le16(e + 28, (uint16_t)w->count);
    e[30] = 0x28;
    e[21] = checksum(e + 16, 15);
    e[4] = checksum(e, sizeof(e));
    buffer_append(b, e, sizeof(e));
}

static void put_entry_64(struct buffer *b, uint32_t address, size_t len)
{
    uint8_t e[24] = {'_', 'S', 'M', '3', '_', 0, 24, 3, 0, 0, 1};

    put_le32(e + 12, (uint32_t)len);
    put_le64(e + 16, address);
    e[5] = checksum(e, sizeof(e));
    buffer_append(b, e, sizeof(e));
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool smbios_parse_uuid(const char *text, uint8_t uuid[SMBIOS_UUID_BYTES])
{
    uint8_t parsed[SMBIOS_UUID_BYTES];

    for (unsigned i = 0; i < SMBIOS_UUID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
            return false;
        if (hex(text[0]) < 0 || hex(text[1]) < 0)
            return false;
        parsed[i] = (uint8_t)(hex(text[0]) << 4 | hex(text[1]));
        text += 2;
    }
    if (*text)
        return false;
    memcpy(uuid, parsed, sizeof(parsed));
    return true;
}

int smbios_build(struct buffer *entry, struct buffer *structures, const struct smbios_config *config, uint32_t address,
                 struct error *err)
{
    struct asked asked = {.count = 0};
    struct writer w = {.b = structures};
    size_t before = structures->len;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < config->count; i++)
        r = take_option(&asked, config->options[i], err);
    if (r == 0)
        r = put_all(&w, &asked, config, err);
    if (r == 0 && config->entry_64)
        put_entry_64(entry, address, structures->len - before);
    else if (r == 0)
        put_entry_32(entry, &w, address, structures->len - before);
    asked_finish(&asked);
    return r;
}

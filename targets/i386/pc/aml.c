/* Emitters for ACPI Machine Language: see aml.h. Op codes are named as in ACPI 6, 20.3. */
#include "i386/pc/aml.h"

#include <string.h>

#define ZERO_OP     0x00u
#define ONE_OP      0x01u
#define NAME_OP     0x08u
#define BYTE_PREFIX 0x0au
#define WORD_PREFIX 0x0bu
#define DWORD_PREFIX 0x0cu
#define STRING_PREFIX 0x0du
#define SCOPE_OP    0x10u
#define BUFFER_OP   0x11u
#define PACKAGE_OP  0x12u
#define METHOD_OP   0x14u
#define DUAL_PREFIX 0x2eu
#define MULTI_PREFIX 0x2fu
#define EXT_PREFIX  0x5bu
#define ROOT_CHAR   0x5cu
#define REGION_OP   0x80u
#define FIELD_OP    0x81u
#define CREATE_DWORD_FIELD_OP 0x8au
#define IF_OP       0xa0u
#define DEVICE_OP   0x82u
#define END_TAG     0x79u

/* NameSeg: four characters up to a dot, padded with underscores. */
static void nameseg(struct buffer *b, const char *name)
{
    size_t len = strcspn(name, ".");

    for (size_t i = 0; i < 4; i++)
        buffer_append_byte(b, (uint8_t)(i < len ? name[i] : '_'));
}

void aml_op(struct buffer *b, uint8_t op)
{
    buffer_append_byte(b, op);
}

void aml_path(struct buffer *b, const char *name)
{
    unsigned parts = 1;

    if (*name == '\\') {
        buffer_append_byte(b, ROOT_CHAR);
        name++;
    }
    for (const char *p = name; *p; p++)
        parts += *p == '.';
    if (parts == 2)
        buffer_append_byte(b, DUAL_PREFIX);
    if (parts > 2) {
        buffer_append_byte(b, MULTI_PREFIX);
        buffer_append_byte(b, (uint8_t)parts);
    }
    for (;; name = strchr(name, '.') + 1) {
        nameseg(b, name);
        if (!strchr(name, '.'))
            return;
    }
}

void aml_integer(struct buffer *b, uint32_t value)
{
    if (value <= 1) {
        buffer_append_byte(b, value ? ONE_OP : ZERO_OP);
    } else if (value <= 0xff) {
        buffer_append_byte(b, BYTE_PREFIX);
        buffer_append_le(b, value, 1);
    } else if (value <= 0xffff) {
        buffer_append_byte(b, WORD_PREFIX);
        buffer_append_le(b, value, 2);
    } else {
        buffer_append_byte(b, DWORD_PREFIX);
        buffer_append_le(b, value, 4);
    }
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

void aml_string(struct buffer *b, const char *text)
{
    buffer_append_byte(b, STRING_PREFIX);
    buffer_append(b, text, strlen(text) + 1);
}

void aml_eisaid(struct buffer *b, const char *id)
{
    uint32_t maker = (uint32_t)(id[0] - '@') << 10 | (uint32_t)(id[1] - '@') << 5 | (uint32_t)(id[2] - '@');
    uint32_t product = hex_digit(id[3]) << 12 | hex_digit(id[4]) << 8 | hex_digit(id[5]) << 4 | hex_digit(id[6]);

    /* Big-endian halves (ACPI 6, 19.3.4): the first byte in memory is the maker's high one. */
    buffer_append_byte(b, DWORD_PREFIX);
    buffer_append_byte(b, (uint8_t)(maker >> 8));
    buffer_append_byte(b, (uint8_t)maker);
    buffer_append_byte(b, (uint8_t)(product >> 8));
    buffer_append_byte(b, (uint8_t)product);
}

void aml_name(struct buffer *b, const char *name)
{
    buffer_append_byte(b, NAME_OP);
    nameseg(b, name);
}

void aml_name_integer(struct buffer *b, const char *name, uint32_t value)
{
    aml_name(b, name);
    aml_integer(b, value);
}

static struct aml_mark mark_here(struct buffer *b)
{
    return (struct aml_mark){.at = b->len};
}

struct aml_mark aml_scope_begin(struct buffer *b, const char *name)
{
    struct aml_mark mark;

    buffer_append_byte(b, SCOPE_OP);
    mark = mark_here(b);
    aml_path(b, name);
    return mark;
}

struct aml_mark aml_method_begin(struct buffer *b, const char *name, unsigned args, bool serialized)
{
    struct aml_mark mark;

    buffer_append_byte(b, METHOD_OP);
    mark = mark_here(b);
    nameseg(b, name);
    buffer_append_byte(b, (uint8_t)(args | (serialized ? 8u : 0)));
    return mark;
}

struct aml_mark aml_if_begin(struct buffer *b)
{
    buffer_append_byte(b, IF_OP);
    return mark_here(b);
}

void aml_pci_region(struct buffer *b, const char *name, uint8_t offset, uint8_t len)
{
    buffer_append_byte(b, EXT_PREFIX);
    buffer_append_byte(b, REGION_OP);
    nameseg(b, name);
    buffer_append_byte(b, 2); /* PCI_Config */
    aml_integer(b, offset);
    aml_integer(b, len);
}

void aml_memory_region(struct buffer *b, const char *name)
{
    buffer_append_byte(b, EXT_PREFIX);
    buffer_append_byte(b, REGION_OP);
    nameseg(b, name);
    buffer_append_byte(b, 0); /* SystemMemory */
}

void aml_bytes(struct buffer *b, const uint8_t *bytes, uint8_t n)
{
    struct aml_mark mark;

    buffer_append_byte(b, BUFFER_OP);
    mark = mark_here(b);
    aml_integer(b, n);
    buffer_append(b, bytes, n);
    aml_end(b, mark);
}

struct aml_mark aml_field_begin(struct buffer *b, const char *region)
{
    struct aml_mark mark;

    buffer_append_byte(b, EXT_PREFIX);
    buffer_append_byte(b, FIELD_OP);
    mark = mark_here(b);
    aml_path(b, region);
    buffer_append_byte(b, 1); /* by bytes, no lock, the rest preserved */
    return mark;
}

void aml_field_unit(struct buffer *b, const char *name, uint8_t bits)
{
    nameseg(b, name);
    buffer_append_byte(b, bits); /* a PkgLength: one byte up to 63 */
}

void aml_dword_field(struct buffer *b, const char *buffer, unsigned offset, const char *name)
{
    buffer_append_byte(b, CREATE_DWORD_FIELD_OP);
    if (!strcmp(buffer, "Arg0"))
        aml_op(b, AML_ARG0);
    else
        aml_path(b, buffer);
    aml_integer(b, offset);
    nameseg(b, name);
}

struct aml_mark aml_device_begin(struct buffer *b, const char *name)
{
    struct aml_mark mark;

    buffer_append_byte(b, EXT_PREFIX);
    buffer_append_byte(b, DEVICE_OP);
    mark = mark_here(b);
    nameseg(b, name);
    return mark;
}

struct aml_mark aml_package_begin(struct buffer *b, uint8_t elements)
{
    struct aml_mark mark;

    buffer_append_byte(b, PACKAGE_OP);
    mark = mark_here(b);
    buffer_append_byte(b, elements);
    return mark;
}

struct aml_mark aml_resources_begin(struct buffer *b)
{
    buffer_append_byte(b, BUFFER_OP);
    return mark_here(b);
}

/* PkgLength counts itself: 1 byte up to 63, else a lead byte with 4 bits and 1 to 3 bytes more (20.2.4). */
void aml_end(struct buffer *b, struct aml_mark mark)
{
    size_t body = b->len - mark.at;
    unsigned extra = body + 1 <= 0x3f ? 0 : body + 2 <= 0xfff ? 1 : 2;
    uint32_t len = (uint32_t)(body + 1 + extra);
    uint8_t bytes[3];

    bytes[0] = (uint8_t)(extra ? extra << 6 | (len & 15u) : len);
    bytes[1] = (uint8_t)(len >> 4);
    bytes[2] = (uint8_t)(len >> 12);
    buffer_reserve(b, extra + 1);
    memmove(b->data + mark.at + extra + 1, b->data + mark.at, body);
    memcpy(b->data + mark.at, bytes, extra + 1);
    b->len += extra + 1;
}

void aml_resources_end(struct buffer *b, struct aml_mark mark)
{
    struct buffer size;
    size_t len;

    buffer_append_byte(b, END_TAG);
    buffer_append_byte(b, 0); /* checksum 0: valid whatever the bytes */
    len = b->len - mark.at;
    buffer_init(&size);
    aml_integer(&size, (uint32_t)len);
    buffer_reserve(b, size.len);
    memmove(b->data + mark.at + size.len, b->data + mark.at, len);
    memcpy(b->data + mark.at, size.data, size.len);
    b->len += size.len;
    buffer_finish(&size);
    aml_end(b, mark);
}

void aml_io(struct buffer *b, uint16_t base, uint8_t len)
{
    buffer_append_byte(b, 0x47);
    buffer_append_byte(b, 1); /* decodes 16 bits */
    buffer_append_le(b, base, 2);
    buffer_append_le(b, base, 2);
    buffer_append_byte(b, 1);
    buffer_append_byte(b, len);
}

void aml_irq(struct buffer *b, unsigned irq)
{
    buffer_append_byte(b, 0x22); /* edge, active high, exclusive */
    buffer_append_le(b, 1u << irq, 2);
}

void aml_dma(struct buffer *b, unsigned channel)
{
    const uint8_t descriptor[3] = {0x2a, (uint8_t)(1u << channel), 0}; /* compatible, no bus master, 8 bits */

    buffer_append(b, descriptor, sizeof(descriptor));
}

/* WORD address space: type, flags, then granularity, minimum, maximum, translation, length. */
static void word_space(struct buffer *b, uint8_t type, uint8_t type_flags, uint16_t first, uint16_t last)
{
    buffer_append_byte(b, 0x88);
    buffer_append_le(b, 13, 2);
    buffer_append_byte(b, type);
    buffer_append_byte(b, 0x0c); /* minimum and maximum fixed, producer */
    buffer_append_byte(b, type_flags);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, first, 2);
    buffer_append_le(b, last, 2);
    buffer_append_le(b, 0, 2);
    buffer_append_le(b, (uint32_t)last - first + 1, 2);
}

void aml_word_bus(struct buffer *b, uint16_t first, uint16_t last)
{
    word_space(b, 2, 0, first, last);
}

void aml_word_io(struct buffer *b, uint16_t first, uint16_t last)
{
    word_space(b, 1, 3, first, last);
}

void aml_dword_memory(struct buffer *b, uint32_t first, uint32_t last)
{
    buffer_append_byte(b, 0x87);
    buffer_append_le(b, 23, 2);
    buffer_append_byte(b, 0);    /* memory */
    buffer_append_byte(b, 0x0c);
    buffer_append_byte(b, 1);    /* read-write, not cacheable */
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, first, 4);
    buffer_append_le(b, last, 4);
    buffer_append_le(b, 0, 4);
    buffer_append_le(b, last - first + 1, 4);
}

void aml_qword_memory(struct buffer *b, uint64_t first, uint64_t last)
{
    buffer_append_byte(b, 0x8a);
    buffer_append_le(b, 43, 2);
    buffer_append_byte(b, 0);    /* memory */
    buffer_append_byte(b, 0x0c);
    buffer_append_byte(b, 1);    /* read-write, not cacheable */
    buffer_append_le(b, 0, 8);
    buffer_append_le(b, first, 8);
    buffer_append_le(b, last, 8);
    buffer_append_le(b, 0, 8);
    buffer_append_le(b, last - first + 1, 8);
}

void aml_fixed_memory(struct buffer *b, bool writable, uint32_t base, uint32_t len)
{
    buffer_append_byte(b, 0x86);
    buffer_append_le(b, 9, 2);
    buffer_append_byte(b, writable);
    buffer_append_le(b, base, 4);
    buffer_append_le(b, len, 4);
}

void aml_interrupts(struct buffer *b, const uint8_t *gsi, uint8_t n)
{
    buffer_append_byte(b, 0x89);
    buffer_append_le(b, 2u + 4u * n, 2);
    buffer_append_byte(b, 0x09); /* consumer, shared */
    buffer_append_byte(b, n);
    for (unsigned i = 0; i < n; i++)
        buffer_append_le(b, gsi[i], 4);
}

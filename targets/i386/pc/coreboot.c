/*
 * The coreboot table ("LinuxBIOS table", coreboot's documentation of libpayload),
 * which coreboot payloads read where others read E820: the memory map and the
 * first serial port. It lies where payloads look first.
 */
#include "base/buffer.h"
#include "base/bytes.h"
#include "i386/boot/boot.h"
#include "i386/pc/tables.h"

#define HEADER_BYTES 24u
enum { TAG_MEMORY = 0x0001, TAG_SERIAL = 0x000f };
enum { MEMORY_RAM = 1, MEMORY_RESERVED = 2 };

/* The checksum of IP (RFC 1071). */
static uint16_t checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += i & 1u ? (uint32_t)p[i] << 8 : p[i];
    while (sum >> 16)
        sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put_memory(struct buffer *b, uint64_t memory_bytes)
{
    struct boot_memory_map map;

    boot_memory_map(&map, memory_bytes);
    buffer_append_le(b, TAG_MEMORY, 4);
    buffer_append_le(b, 8 + 20 * map.nranges, 4);
    for (unsigned i = 0; i < map.nranges; i++) {
        buffer_append_le(b, map.ranges[i].base, 8);
        buffer_append_le(b, map.ranges[i].size, 8);
        buffer_append_le(b, map.ranges[i].type == E820_RAM ? MEMORY_RAM : MEMORY_RESERVED, 4);
    }
}

void coreboot_table_build(struct buffer *b, uint64_t memory_bytes, unsigned serial_count)
{
    buffer_append(b, "LBIO", 4);
    buffer_append_le(b, HEADER_BYTES, 4);
    buffer_append_le(b, 0, 16); /* checksums and lengths, in the end */
    put_memory(b, memory_bytes);
    if (serial_count) {
        buffer_append_le(b, TAG_SERIAL, 4);
        buffer_append_le(b, 28, 4);
        buffer_append_le(b, 1, 4);      /* I/O ports */
        buffer_append_le(b, 0x3f8, 4);
        buffer_append_le(b, 115200, 4);
        buffer_append_le(b, 1, 4);      /* bytes from register to register */
        buffer_append_le(b, 1843200, 4); /* input clock */
    }
    put_le32(b->data + 12, (uint32_t)(b->len - HEADER_BYTES));
    put_le32(b->data + 16, checksum(b->data + HEADER_BYTES, b->len - HEADER_BYTES));
    put_le32(b->data + 20, serial_count ? 2 : 1); /* records */
    put_le32(b->data + 8, checksum(b->data, HEADER_BYTES));
    CHECK(b->len <= COREBOOT_TABLE_MAX);
}

/*
 * A bench for network cards: the card in slot 3, its ports from NIC_PORTS and its memory from NIC_REGISTERS on, frames to it
 * and (in `sent`) from it.
 */
#ifndef HINDCAST_TESTS_NIC_BENCH_H
#define HINDCAST_TESTS_NIC_BENCH_H

#include "tests/vm/disk_bench.h"

#include <zlib.h>

#include "base/bytes.h"
#include "base/option_list.h"
#include "vm/dev/nic.h"
#include "vm/dev/nic_ip.h"
#include "vm/dev/parts.h"

#define NIC_PORTS     0xc000u
#define NIC_REGISTERS 0x10020000u

static const uint8_t nic_ours[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t nic_all[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t nic_other[6] = {2, 0, 0, 0, 0, 9};
static const uint8_t nic_group[6] = {1, 0, 0x5e, 0, 0, 0xfb};

static struct device *card;
static struct pci_function *nic_function;

CHIP_BENCH struct line nic_isa_irq(void *ctx, unsigned irq)
{
    (void)ctx, (void)irq;
    return probe_line(3);
}

/* The card as a firmware leaves it. */
CHIP_BENCH void nic_new(plug_fn *plug, const char *text)
{
    struct sockets s = {.pci = &bench_bus, .isa_irq = nic_isa_irq};
    struct error e;

    new_disk_bench();
    s.machine = m;
    ck_assert_msg(bench_plug(&s, "net", plug, text, NULL, &e) == 0, "%s", e.text);
    card = machine_find_device(m, "net");
    reset_all();
    nic_function = pci_find(&bench_bus, 0, PCI_DEVFN(3, 0));
    if (nic_function) {
        pci_config_write(nic_function, 0x10, 4, NIC_PORTS);
        pci_config_write(nic_function, 0x14, 4, NIC_REGISTERS);
        pci_config_write(nic_function, PCI_COMMAND, 2, 7);
    }
    buffer_clear(&sent);
}

CHIP_BENCH uint32_t get(unsigned reg, unsigned size)
{
    return ports_read(&bench_ports, (uint16_t)(NIC_PORTS + reg), size);
}

CHIP_BENCH void set(unsigned reg, unsigned size, uint32_t value)
{
    ports_write(&bench_ports, (uint16_t)(NIC_PORTS + reg), size, value);
}

/* A frame of that length: bytes that tell where they are. */
CHIP_BENCH void nic_frame(uint8_t *frame, const uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 3 + (i >> 8));
    memcpy(frame, to, 6);
    put_be16(frame + 12, 0x88b5);
}

CHIP_BENCH void nic_arrives(const uint8_t *to, size_t len)
{
    uint8_t frame[5000];

    nic_frame(frame, to, len);
    input(card, frame, len);
}

/* Does memory at `at` hold that frame? */
CHIP_BENCH bool nic_holds(paddr_t at, const uint8_t *to, size_t len)
{
    uint8_t frame[5000], bytes[5000];

    nic_frame(frame, to, len);
    memory_read_bytes(&m->memory, at, bytes, len);
    return !memcmp(frame, bytes, len);
}

/* Was that sent, and nothing else? */
CHIP_BENCH bool nic_sent(const uint8_t *frame, size_t len)
{
    bool same = sent.len == len && !memcmp(sent.data, frame, len);

    buffer_clear(&sent);
    return same;
}

/* Ethernet, IPv4, TCP or UDP without options, data; checksums as they should not be. */
#define NIC_HEADERS 54u

CHIP_BENCH void nic_ip_frame(uint8_t *frame, unsigned protocol, size_t len)
{
    nic_frame(frame, nic_all, len);
    memset(frame + 12, 0, NIC_HEADERS - 12);
    put_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    put_be16(frame + 16, (uint16_t)(len - 14));
    put_be16(frame + 18, 7);
    frame[22] = 64;
    frame[23] = (uint8_t)protocol;
    put_be16(frame + 24, 0x1111);
    put_be32(frame + 26, 0x0a00020f);
    put_be32(frame + 30, 0x0a000202);
    put_be32(frame + 38, 1000);
    if (protocol == IP_PROTOCOL_TCP) {
        frame[46] = 0x50;
        frame[47] = 0x19; /* FIN, PSH, ACK */
        put_be16(frame + 50, 0x2222);
    } else {
        put_be16(frame + 38, (uint16_t)(len - 34));
        put_be16(frame + 40, 0x2222);
    }
}

/* Are both checksums right? In words of this test's own. */
CHIP_BENCH bool nic_sums_hold(const uint8_t *frame)
{
    size_t len = get_be16(frame + 16) - 20u;
    uint64_t header = 0, rest = frame[23] + len;

    for (unsigned i = 0; i < 20; i += 2)
        header += get_be16(frame + 14 + i);
    for (unsigned i = 0; i < 8; i += 2)
        rest += get_be16(frame + 26 + i);
    for (size_t i = 0; i < len; i++)
        rest += (uint64_t)frame[34 + i] << (i & 1 ? 0 : 8);
    return header % 0xffff == 0 && rest % 0xffff == 0;
}

#endif

/*
 * What network interfaces have in common. See nic.h.
 */
#include "vm/dev/nic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"
#include "vm/dev/pci.h"
#include "vm/machine.h"

/* ---- the wire ---- */

DEVICE_STATE_BEGIN
struct wire_state {
    uint64_t arrived, dropped, sent; /* struct nic_counts */
};
DEVICE_STATE_END

/* Wiring. */
struct wire {
    struct device *card;
};

/* The card has had its input(). */
static void wire_input(struct device *dev, const struct event *e)
{
    struct device *card = ((const struct wire *)dev->wiring)->card;
    struct wire_state *s = dev->state;

    s->arrived++;
    s->dropped += card->refused != NULL;
    traps_note_frame(dev->machine, TRAP_FRAME_IN, card, s->arrived, card->refused, e->data, e->len);
    machine_arrived(card, e->data, e->len, s->arrived, card->refused);
}

static size_t wire_room(const struct device *dev)
{
    (void)dev;
    return 0; /* nobody feeds it but the card's input */
}

static void wire_describe(const struct device *dev, struct buffer *b)
{
    const struct wire_state *s = dev->state;

    buffer_printf(b, "of %s: %" PRIu64 " frames came, %" PRIu64 " of them were dropped, %" PRIu64 " were sent\n",
                  ((const struct wire *)dev->wiring)->card->name, s->arrived, s->dropped, s->sent);
}

static const struct device_ops wire_ops = {
    .name = "wire",
    .state_size = sizeof(struct wire_state),
    .input = wire_input,
    .input_room = wire_room,
    .describe = wire_describe,
};

/* Named so that no device of the user's can have its name. */
static int wire_init(struct device *card, unsigned n, struct error *err)
{
    char name[sizeof(card->name)];
    struct device *dev;

    if (card->machine->ndevices == MACHINE_MAX_DEVICES)
        return error_set(err, -EINVAL, "a machine has at most %d devices", MACHINE_MAX_DEVICES);
    snprintf(name, sizeof(name), "wire %u", n);
    dev = machine_add_owned_device(card->machine, &wire_ops, name, sizeof(struct wire));
    ((struct wire *)dev->wiring)->card = card;
    card->listener = dev;
    return 0;
}

void nic_counts(const struct device *card, struct nic_counts *out)
{
    const struct wire_state *s = card->listener && card->listener->ops == &wire_ops ? card->listener->state : NULL;

    *out = s ? (struct nic_counts){s->arrived, s->dropped, s->sent} : (struct nic_counts){.sent = 0};
}

/* ---- cards ---- */

static bool parse_mac(const char *text, uint8_t *mac)
{
    unsigned b[NIC_ADDRESS];
    int end = -1;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &end) != 6 || end < 0 ||
        text[end])
        return false;
    for (unsigned i = 0; i < NIC_ADDRESS; i++)
        mac[i] = (uint8_t)b[i];
    return true;
}

int nic_init(struct nic *n, struct sockets *s, struct device *dev, const struct option_list *props, struct error *err)
{
    static const uint8_t usual[NIC_ADDRESS] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};
    const char *mac = option_list_get(props, "mac"), *netdev = option_list_get(props, "netdev");

    n->dev = dev;
    memcpy(n->mac, usual, sizeof(usual));
    n->mac[5] = (uint8_t)(n->mac[5] + s->cards);
    if (mac && (!parse_mac(mac, n->mac) || nic_is_multicast(n->mac)))
        return error_set(err, -EINVAL, "mac=%s: write six bytes in hexadecimal, with colons; the first one is even", mac);
    s->cards++;
    if (!netdev)
        return 0; /* nothing is plugged into it */
    if (!*netdev || strlen(netdev) >= sizeof(dev->backend))
        return error_set(err, -EINVAL, "netdev=%s: the id of a --netdev has 1 to %zu characters", netdev,
                         sizeof(dev->backend) - 1);
    for (unsigned i = 0; i < s->machine->ndevices; i++)
        if (s->machine->devices[i]->backend_kind == BACKEND_NETDEV && !strcmp(s->machine->devices[i]->backend, netdev))
            return error_set(err, -EINVAL, "netdev=%s: the card %s is connected to it already", netdev, s->machine->devices[i]->name);
    strcpy(dev->backend, netdev);
    dev->backend_kind = BACKEND_NETDEV;
    return wire_init(dev, s->cards - 1, err);
}

void nic_boots(struct sockets *s, const struct pci_function *f)
{
    char path[BOOT_PATH_BYTES];

    pci_firmware_path(f, path, sizeof(path));
    parts_boots(s, 'n', path, "/ethernet-phy@0");
}

void nic_send(const struct nic *n, const uint8_t *frame, size_t len)
{
    struct device *wire = n->dev->listener;
    struct wire_state *s;

    if (wire) {
        s = wire->state;
        s->sent++;
        traps_note_frame(n->dev->machine, TRAP_FRAME_OUT, n->dev, s->sent, NULL, frame, len);
    }
    machine_output(n->dev, frame, len);
}

void nic_refuse(const struct nic *n, const char *why)
{
    n->dev->refused = why;
}

uint32_t nic_check_sequence(const uint8_t *bytes, size_t len)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), bytes, (uInt)len);
}

unsigned nic_hash(const uint8_t *address, bool reflected)
{
    uint32_t crc = ~nic_check_sequence(address, NIC_ADDRESS);
    unsigned bits = 0;

    if (reflected)
        return crc >> 26;
    for (unsigned i = 0; i < 6; i++)
        bits = bits << 1 | (crc >> i & 1u);
    return bits;
}

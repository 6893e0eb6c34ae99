/*
 * What network interfaces have in common: an address, and frames.
 *
 * A frame is what IEEE 802.3 calls one from the destination address to the end of the data, without preamble and frame
 * check sequence. A card sends one by nic_send(), and gets those from outside as input (EVENT_INPUT), each whole; its
 * input_room() is 0 while it has no place for one: then frames wait in the host, and are lost there when they are too many.
 * What it does not take all the same it refuses, and says why: nic_refuse().
 *
 * Between card and host is a *wire*, a device of its own, which every card has that is connected to something: it counts the
 * frames that come and go, so that each has a number, at every position of history the same one.
 */
#ifndef HINDCAST_VM_DEV_NIC_H
#define HINDCAST_VM_DEV_NIC_H

#include "vm/dev/parts.h"

#define NIC_ADDRESS   6u    /* bytes of a MAC address */

#define NIC_FRAME_MIN 60u  /* shorter ones are filled up with zeros; without frame check sequence */

/* For struct device_model.keys of a card. */
#define NIC_KEYS {"netdev", "ID"}, {"mac", "XX:XX:XX:XX:XX:XX"}

/* In a card's wiring. */
struct nic {
    struct device *dev;
    uint8_t mac[NIC_ADDRESS]; /* as it comes from the factory */
};

/* A card's netdev and mac properties: where its frames go (device.backend), and its address; the default is 52:54:00:12:34:56,
 * one more for each further card. 0 or -EINVAL with *err. */
int nic_init(struct nic *n, struct sockets *s, struct device *dev, const struct option_list *props, struct error *err);
struct pci_function;
/* For plug functions of cards on the PCI bus: firmware may boot from it. */
void nic_boots(struct sockets *s, const struct pci_function *f);
/* Out on the wire. */
void nic_send(const struct nic *n, const uint8_t *frame, size_t len);
/* From within input(): this frame does not reach the guest. `why`: for people, a constant, such as "no buffer"; it goes on
 * from "dropped: ". */
void nic_refuse(const struct nic *n, const char *why);

/* What has gone through a card's wire since the machine was made. */
struct nic_counts {
    uint64_t arrived;     /* frames from the host's side: delivered, or dropped by the card */
    uint64_t dropped;
    uint64_t sent;        /* frames from the guest */
};
/* Those of a card where its machine stands; zeros if it has no wire. */
void nic_counts(const struct device *card, struct nic_counts *out);
/* The frame check sequence of `len` bytes, as it follows them: little-endian. */
uint32_t nic_check_sequence(const uint8_t *bytes, size_t len);
/* Which of 64 bits of a filter an address has: the upper six of its check sequence's register, either with the first bit
 * shifted in at the lower end (DP8390, RTL8139), or (`reflected`) at the upper one (Am79C970A). */
unsigned nic_hash(const uint8_t *address, bool reflected);

static inline bool nic_is_multicast(const uint8_t *address)
{
    return address[0] & 1u;
}

static inline bool nic_is_broadcast(const uint8_t *address)
{
    return (address[0] & address[1] & address[2] & address[3] & address[4] & address[5]) == 0xffu;
}

#endif

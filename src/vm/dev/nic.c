/*
 * What network interfaces have in common. See nic.h.
 */
#include "vm/dev/nic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "vm/dev/pci.h"
#include "vm/machine.h"

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
    n->mac[5] = (uint8_t)(n->mac[5] + s->cards++);
    if (mac && (!parse_mac(mac, n->mac) || nic_is_multicast(n->mac)))
        return error_set(err, -EINVAL, "mac=%s: write six bytes in hexadecimal, with colons; the first one is even", mac);
    if (!netdev)
        return 0; /* nothing is plugged into it */
    if (!*netdev || strlen(netdev) >= sizeof(dev->backend))
        return error_set(err, -EINVAL, "netdev=%s: the id of a --netdev has 1 to %zu characters", netdev,
                         sizeof(dev->backend) - 1);
    strcpy(dev->backend, netdev);
    dev->backend_kind = BACKEND_NETDEV;
    return 0;
}

void nic_boots(struct sockets *s, const struct pci_function *f)
{
    char path[BOOT_PATH_BYTES];

    pci_firmware_path(f, path, sizeof(path));
    parts_boots(s, 'n', path, "/ethernet-phy@0");
}

void nic_send(const struct nic *n, const uint8_t *frame, size_t len)
{
    machine_output(n->dev, frame, len);
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

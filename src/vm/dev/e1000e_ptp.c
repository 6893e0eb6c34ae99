/*
 * Frames of IEEE 1588 as an 82574 knows them. See e1000e_ptp.h.
 */
#include "vm/dev/e1000e_ptp.h"

#include "base/bytes.h"
#include "vm/dev/nic_ip.h"

/* TSYNCRXCTL: which packets, in bits 1 to 3. */
enum { L2_V2 = 0, L4_V1 = 1, L2_L4_V2 = 2, ALL = 4, EVENTS_V2 = 5 };

#define PTP_BYTES   34u /* of a message, as far as it is looked at */
#define CONTROL_AT  32u /* version 1 */
#define SOURCE_AT   22u
#define SEQUENCE_AT 30u

/* The message in a frame, by its Ethernet type or its UDP port. NULL: there is none. */
static const uint8_t *find_message(const struct ptp_filter *f, const uint8_t *frame, size_t len, bool *on_ethernet)
{
    size_t at = len >= 18 && get_be16(frame + 12) == 0x8100u ? 18 : 14;
    struct nic_ip ip;

    *on_ethernet = len >= at + PTP_BYTES && get_be16(frame + at - 2) == (f->rxmtrl & 0xffffu);
    if (*on_ethernet)
        return frame + at;
    if (!nic_find_any_ip(frame, len, &ip) || ip.fragment || ip.protocol != IP_PROTOCOL_UDP || ip.end - ip.transport < 8 + PTP_BYTES ||
        get_le16(frame + ip.transport + 2) != (f->rxudp & 0xffffu)) /* its bytes are in the order of the wire */
        return NULL;
    return frame + ip.transport + 8;
}

bool ptp_wants(const struct ptp_filter *f, const uint8_t *frame, size_t len, uint64_t *source)
{
    unsigned kind = f->tsyncrxctl >> 1 & 7u;
    bool on_ethernet;
    const uint8_t *m = find_message(f, frame, len, &on_ethernet);

    *source = m ? (uint64_t)get_be16(m + SEQUENCE_AT) << 48 | (uint64_t)get_be16(m + SOURCE_AT) << 32 | get_be32(m + SOURCE_AT + 2) : 0;
    if (kind == ALL)
        return true;
    if (!m)
        return false;
    switch (kind) {
    case L2_V2:     return on_ethernet && (m[0] & 15u) == (f->rxmtrl >> 24 & 15u);
    case L4_V1:     return !on_ethernet && m[CONTROL_AT] == (f->rxmtrl >> 16 & 0xffu);
    case L2_L4_V2:  return (m[0] & 15u) == (f->rxmtrl >> 24 & 15u);
    case EVENTS_V2: return (m[0] & 15u) < 4;
    default:        return false;
    }
}

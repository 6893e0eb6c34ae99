/*
 * Framing of packets: `$body#checksum`, acknowledgements, escapes, run-length
 * encoding (gdb manual, "Overview" of the Remote Protocol). No meaning here.
 */
#ifndef HINDCAST_RSP_PACKET_H
#define HINDCAST_RSP_PACKET_H

#include "base/buffer.h"

/* What a byte from the client completed. */
enum rsp_wire_event {
    RSP_WIRE_NOTHING,
    RSP_WIRE_PACKET,    /* decoder.body holds a packet, escapes undone */
    RSP_WIRE_BAD_SUM,   /* ... whose checksum is wrong */
    RSP_WIRE_TOO_LONG,  /* a packet beyond the limit went by; the body is not kept */
    RSP_WIRE_ACK,       /* '+' */
    RSP_WIRE_NAK,       /* '-' */
    RSP_WIRE_INTERRUPT, /* 0x03 between packets */
};

enum rsp_decoder_state { RSP_IN_GAP, RSP_IN_BODY, RSP_IN_SUM_HIGH, RSP_IN_SUM_LOW };

struct rsp_decoder {
    struct buffer body;  /* always followed by a zero byte once a packet is complete */
    size_t limit;        /* longest body as sent, in bytes */
    size_t raw_len;      /* bytes of the body seen so far, as sent */
    enum rsp_decoder_state state;
    bool escaped;        /* the last byte was '}' */
    uint8_t sum;         /* of the body as sent */
    int sent_sum;        /* high digit of the checksum; -1: not a hex digit */
};

void rsp_decoder_init(struct rsp_decoder *d, size_t limit);
void rsp_decoder_finish(struct rsp_decoder *d);
enum rsp_wire_event rsp_decoder_push(struct rsp_decoder *d, uint8_t byte);

/* Append `$body#sum` to out, escaped and, with `runs`, run-length encoded. */
void rsp_encode(struct buffer *out, const void *body, size_t len, bool runs);

/* Hex. rsp_hex_digit gives -1 for what is none. */
int rsp_hex_digit(char c);
void rsp_put_hex(struct buffer *out, const void *data, size_t len);

#endif

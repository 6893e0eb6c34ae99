/*
 * Captures: files of network packets with times, as tcpdump and Wireshark read and write them.
 *
 * pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), of either byte order, with times in micro- and
 * nanoseconds (pcapng: any resolution); Ethernet frames only. Bytes come and go through callbacks and buffers.
 *
 * Reading costs the memory of one packet. What comes from a file is not believed: an error says what is wrong, and where.
 * Not read: packets that were not captured whole, compressed files, the pcap variant with magic A1B2CD34h. Blocks of
 * pcapng that are no packets (names, statistics, secrets) are passed over.
 */
#ifndef HINDCAST_BASE_CAPTURE_H
#define HINDCAST_BASE_CAPTURE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/types.h"

/* The longest frame that is read, in bytes. */
#define CAPTURE_FRAME_MOST 65550u
/* Interfaces in a section of a pcapng file. */
#define CAPTURE_INTERFACES 256u

struct capture_packet {
    uint64_t time_ns;      /* since whatever the file's clock counts from, mostly 1970 */
    uint32_t interface;    /* pcapng: its number in the file's section */
    uint32_t len;          /* bytes of the frame, without frame check sequence */
    const uint8_t *data;   /* reading: good until the next one is read */
    /* Writing only: */
    uint32_t kept;         /* of `len` bytes so many are written */
    bool from_guest;       /* else to it */
    const char *comment;   /* pcapng; NULL: none */
};

/* ---- reading ---- */

struct capture_interface {
    uint16_t link;         /* link type; 1: Ethernet */
    uint8_t fcs;           /* bytes of frame check sequence at the end of each packet */
    uint8_t resolution;    /* if_tsresol */
    uint32_t snap;         /* most bytes that were kept of a packet; 0: all */
    int64_t offset_s;      /* added to times */
};

struct capture_reader {
    /* As many bytes as there are, at most `len`; 0: the end; negative errno. */
    long (*read)(void *ctx, void *buf, size_t len);
    void *ctx;
    bool ng, big, nano;
    uint64_t at;           /* bytes read so far */
    uint64_t packets;      /* that were read */
    uint64_t last_ns;      /* time of the last one */
    struct capture_interface interfaces[CAPTURE_INTERFACES]; /* pcap: the first */
    unsigned ninterfaces;
    uint8_t frame[CAPTURE_FRAME_MOST + 256]; /* of the packet, and what a block has before it */
};

/* Read the file's beginning. 0, or negative errno with *err. */
int capture_open(struct capture_reader *r, long (*read)(void *ctx, void *buf, size_t len), void *ctx, struct error *err);
/* The next packet: 1; 0: there is none; negative errno with *err. */
int capture_next(struct capture_reader *r, struct capture_packet *p, struct error *err);

/* ---- writing ---- */

/* The beginning of a file. pcapng, or pcap with nanoseconds. */
void capture_write_head(struct buffer *b, bool ng);
/* pcapng: the next interface; packets call it by its number, from 0. */
void capture_write_interface(struct buffer *b, const char *name);
void capture_write_packet(struct buffer *b, bool ng, const struct capture_packet *p);

#endif

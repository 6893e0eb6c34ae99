/*
 * The client's side for tests of the protocol layer: frames requests, takes
 * apart what comes back. Independent of src/rsp/packet.c.
 */
#ifndef TEST_RSP_CLIENT_H
#define TEST_RSP_CLIENT_H

#include "test_rsp_fake.h"

#define CLIENT_MAX 64

/* What one round of output held. */
struct answers {
    unsigned npackets;
    char *packets[CLIENT_MAX]; /* decoded, zero-terminated */
    size_t lens[CLIENT_MAX];
    size_t raw_lens[CLIENT_MAX]; /* as sent */
    unsigned acks, naks, junk;
};

void answers_finish(struct answers *a);
/* A new target and a client that it has yet to know: acknowledgements are on. */
void client_begin(struct fake *f);

/* Take all output. */
void client_take(struct fake *f, struct answers *a);

/* Bytes as they are; runs are carried out. */
void client_raw(struct fake *f, const void *data, size_t len);
/* A packet, not escaped. */
void client_send(struct fake *f, const char *body, size_t len);
/* Send a packet and expect exactly one packet, acknowledged if acks are on. The
 * answer is good until the next call. */
const char *client_ask(struct fake *f, const char *body);
const char *client_ask_bytes(struct fake *f, const void *body, size_t len, size_t *answer_len);
/* The same for what gives console output first: *console is a string, good until the next call. */
const char *client_ask_console(struct fake *f, const char *body, const char **console);
const char *client_monitor(struct fake *f, const char *line, const char **console);
/* QStartNoAckMode. */
void client_no_ack(struct fake *f);

#endif

/*
 * The network card of the example: frames that come, moved by the card itself. The drivers are i386/net.c (an Intel 82540EM)
 * and aarch64/net.c (virtio-net).
 */
#ifndef NET_H
#define NET_H

#include "../stale-pointer/machine.h"

#define FRAME_BYTES 2048

void net_init(void);
/* The next frame: its bytes, which are the driver's until net_done(). *len of them. Waits for it. */
const u8 *net_receive(u32 *len);
void net_done(void);

#endif

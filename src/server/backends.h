/*
 * What a machine is connected to on the host: the debugger's listener, serial ports, networks and their captures, sound, files
 * and shared directories, as the options say. Devices name theirs (device.backend).
 */
#ifndef HINDCAST_SERVER_BACKENDS_H
#define HINDCAST_SERVER_BACKENDS_H

#include "options.h"
#include "server.h"

/* Open all of it for c->machine, into *c. 0, or negative errno with *err; then backends_close() closes what was opened. */
int backends_open(struct server_config *c, const struct options *o, struct error *err);
void backends_close(struct server_config *c);

#endif

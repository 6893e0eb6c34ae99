/*
 * By what a file shows that it is a recording (doc/log-format.md).
 */
#ifndef HINDCAST_BASE_FILE_KIND_H
#define HINDCAST_BASE_FILE_KIND_H

#define RECORDING_MAGIC "\211HCREC\r\n"
#define RECORDING_MAGIC_BYTES 8u

#endif

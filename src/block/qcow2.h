/*
 * The layout of qcow2 images (QEMU, docs/interop/qcow2.txt), for the reader and the writer. All numbers in
 * the file are big-endian.
 */
#ifndef HINDCAST_BLOCK_QCOW2_H
#define HINDCAST_BLOCK_QCOW2_H

#include "base/types.h"

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */

/* Where the header's fields are, and how large a header is. */
enum {
    QCOW2_VERSION = 4, QCOW2_BACKING_OFFSET = 8, QCOW2_BACKING_SIZE = 16, QCOW2_CLUSTER_BITS = 20, QCOW2_DISK_SIZE = 24,
    QCOW2_CRYPT = 32, QCOW2_L1_SIZE = 36, QCOW2_L1_OFFSET = 40, QCOW2_REFTABLE_OFFSET = 48, QCOW2_REFTABLE_CLUSTERS = 56,
    QCOW2_NB_SNAPSHOTS = 60, QCOW2_SNAPSHOTS_OFFSET = 64, QCOW2_HEADER_V2 = 72,
    QCOW2_INCOMPATIBLE = 72, QCOW2_COMPATIBLE = 80, QCOW2_AUTOCLEAR = 88, QCOW2_REFCOUNT_ORDER = 96,
    QCOW2_HEADER_LENGTH = 100, QCOW2_HEADER_V3 = 104, QCOW2_COMPRESSION = 104,
};

/* Incompatible features. */
#define QCOW2_DIRTY       UINT64_C(1)
#define QCOW2_CORRUPT     UINT64_C(2)
#define QCOW2_DATA_FILE   UINT64_C(4)
#define QCOW2_COMPRESSED_OTHERWISE UINT64_C(8) /* the compression type is in the header */
#define QCOW2_EXTENDED_L2 UINT64_C(16)

/* Header extensions. */
#define QCOW2_EXT_END            0u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_DATA_FILE      0x44415441u

/* Entries of L1 and L2 tables. */
#define QCOW2_COPIED     (UINT64_C(1) << 63) /* its reference count is 1 */
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO       UINT64_C(1)
#define QCOW2_OFFSET     UINT64_C(0x00fffffffffffe00)

#define QCOW2_NAME_MAX 1023u /* bytes of a backing file's name */
#define QCOW2_SUBCLUSTERS 32u

#endif

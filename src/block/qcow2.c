/*
 * Reading qcow2 images, versions 2 and 3 (QEMU, docs/interop/qcow2.txt): backing files, internal
 * snapshots, compressed clusters (deflate, zstd), subclusters, external data files.
 *
 * An L1 table of L2 tables of clusters says where each cluster of the disk lies in the file. The L1 table
 * is read at once, of L2 tables and uncompressed clusters the latest few are kept. Reference counts are of
 * no concern for who only reads.
 *
 * Every offset comes from the file, and is held against the file's size where it is used. Not here:
 * encryption (refused), bitmaps and saved machine states (not looked at).
 */
#include "config.h"

#include "block/block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/buffer.h"
#include "base/bytes.h"
#include "block/qcow2.h"

#define MIN_CLUSTER_BITS 9u
#define MAX_CLUSTER_BITS 21u
/* Subclusters are at least 512 bytes. */
#define MIN_EXTENDED_BITS 14u
#define MAX_L1_BYTES     ((uint64_t)32 << 20)
#define MAX_SNAPSHOTS    65536u
#define MAX_SNAPSHOT_TABLE ((uint64_t)64 << 20)
#define L2_SLOTS         32u
#define RAW_DEFLATE_BITS (-12)

enum compression { COMPRESSION_DEFLATE, COMPRESSION_ZSTD };

/* An L2 table as it is in the file, or an uncompressed cluster. */
struct cached {
    uint64_t key;    /* offset in the file, or the entry of the compressed cluster; 0: free */
    uint64_t used;   /* when last */
    uint8_t *bytes;  /* a cluster */
};

#define CLUSTER_SLOTS 4u

struct qcow2 {
    uint32_t version;
    unsigned bits;           /* of a cluster's size */
    uint64_t cluster;        /* bytes */
    unsigned entry_bytes;    /* of an L2 entry: 8, or 16 with subclusters */
    unsigned l2_bits;        /* of the number of entries */
    uint64_t l1_offset;
    uint32_t l1_size;        /* entries */
    uint8_t *l1;
    enum compression compression;
    uint64_t incompatible;
    char backing[QCOW2_NAME_MAX + 1], backing_format[32], data_file[QCOW2_NAME_MAX + 1];
    uint64_t clock;          /* counts uses of the caches */
    struct cached l2[L2_SLOTS], clusters[CLUSTER_SLOTS];
    uint8_t *packed;         /* a compressed cluster */
};

static bool qcow2_probe(const void *head, size_t len)
{
    return len >= QCOW2_HEADER_V2 && get_be32(head) == QCOW2_MAGIC;
}

static int source_read(struct block_image *im, uint64_t offset, void *buf, size_t len)
{
    if (offset > im->source.size || len > im->source.size - offset)
        return -EIO;
    return im->source.read(im->source.ctx, offset, buf, len);
}

static int malformed(const struct block_image *im, struct error *err, const char *what)
{
    return error_set(err, -EINVAL, "%s is a damaged qcow2 image: %s", im->source.name, what);
}

/* ---- the header ---- */

/* Without subclusters or a data file? What is not known must not be ignored. */
static int check_features(const struct block_image *im, const struct qcow2 *q, struct error *err)
{
    uint64_t known = QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_DATA_FILE | QCOW2_COMPRESSED_OTHERWISE | QCOW2_EXTENDED_L2;

    if (q->incompatible & ~known)
        return error_set(err, -ENOTSUP, "%s is a qcow2 image with features that are not known here (%#llx)",
                         im->source.name, (unsigned long long)(q->incompatible & ~known));
    if (q->incompatible & QCOW2_EXTENDED_L2 && q->bits < MIN_EXTENDED_BITS)
        return malformed(im, err, "its clusters are too small to have subclusters");
    return 0;
}

static int take_compression(const struct block_image *im, struct qcow2 *q, uint8_t type, struct error *err)
{
    if (type > COMPRESSION_ZSTD)
        return error_set(err, -ENOTSUP, "%s is a qcow2 image with a compression that is not known (%u)",
                         im->source.name, type);
#ifndef HAVE_ZSTD
    if (type == COMPRESSION_ZSTD)
        return error_set(err, -ENOTSUP, "%s is compressed with zstd, which this hindcast was built without",
                         im->source.name);
#endif
    q->compression = type;
    return 0;
}

static int take_extension(const struct block_image *im, struct qcow2 *q, uint32_t type, const uint8_t *data,
                          size_t len, struct error *err)
{
    char *to = type == QCOW2_EXT_BACKING_FORMAT ? q->backing_format : type == QCOW2_EXT_DATA_FILE ? q->data_file : NULL;
    size_t room = type == QCOW2_EXT_BACKING_FORMAT ? sizeof(q->backing_format) : sizeof(q->data_file);

    if (!to)
        return 0;
    if (len >= room || memchr(data, 0, len))
        return malformed(im, err, "a name in its header is too long");
    memcpy(to, data, len);
    to[len] = 0;
    return 0;
}

static int read_extensions(struct block_image *im, struct qcow2 *q, uint64_t at, uint64_t end, struct error *err)
{
    uint8_t head[8], data[QCOW2_NAME_MAX];
    int r = 0;

    while (r == 0 && at + sizeof(head) <= end) {
        uint32_t type, len;

        if (source_read(im, at, head, sizeof(head)) < 0)
            return malformed(im, err, "it ends within its header");
        type = get_be32(head);
        len = get_be32(head + 4);
        at += sizeof(head);
        if (type == QCOW2_EXT_END)
            break;
        if (len > end - at)
            return malformed(im, err, "a part of its header is longer than the header");
        if (len <= sizeof(data)) {
            if (source_read(im, at, data, len) < 0)
                return malformed(im, err, "it ends within its header");
            r = take_extension(im, q, type, data, len, err);
        }
        at += ((uint64_t)len + 7) & ~UINT64_C(7);
    }
    return r;
}

static int read_backing_name(struct block_image *im, struct qcow2 *q, const uint8_t *head, struct error *err)
{
    uint64_t offset = get_be64(head + QCOW2_BACKING_OFFSET);
    uint32_t len = get_be32(head + QCOW2_BACKING_SIZE);

    if (!offset)
        return 0;
    if (len > QCOW2_NAME_MAX || offset > q->cluster || source_read(im, offset, q->backing, len) < 0)
        return malformed(im, err, "the name of its backing file lies nowhere");
    q->backing[len] = 0;
    return 0;
}

static int read_header_v3(struct block_image *im, struct qcow2 *q, const uint8_t *head, uint32_t *header, struct error *err)
{
    uint8_t type = 0;

    *header = get_be32(head + QCOW2_HEADER_LENGTH);
    if (*header < QCOW2_HEADER_V3 || *header > q->cluster)
        return malformed(im, err, "its header has an impossible length");
    q->incompatible = get_be64(head + QCOW2_INCOMPATIBLE);
    if (check_features(im, q, err) < 0)
        return err->code;
    if (*header > QCOW2_COMPRESSION && source_read(im, QCOW2_COMPRESSION, &type, 1) < 0)
        return malformed(im, err, "it ends within its header");
    return take_compression(im, q, type, err);
}

static int read_header(struct block_image *im, struct qcow2 *q, uint8_t *head, struct error *err)
{
    uint32_t header = QCOW2_HEADER_V2;
    uint64_t backing = get_be64(head + QCOW2_BACKING_OFFSET);

    q->version = get_be32(head + QCOW2_VERSION);
    if (q->version != 2 && q->version != 3)
        return error_set(err, -ENOTSUP, "%s is a qcow image of version %u; versions 2 and 3 can be read",
                         im->source.name, q->version);
    q->bits = get_be32(head + QCOW2_CLUSTER_BITS);
    if (q->bits < MIN_CLUSTER_BITS || q->bits > MAX_CLUSTER_BITS)
        return malformed(im, err, "its clusters have an impossible size");
    q->cluster = (uint64_t)1 << q->bits;
    if (get_be32(head + QCOW2_CRYPT))
        return error_set(err, -ENOTSUP, "%s is an encrypted qcow2 image, which cannot be read", im->source.name);
    if (q->version == 3 && read_header_v3(im, q, head, &header, err) < 0)
        return err->code;
    im->size = get_be64(head + QCOW2_DISK_SIZE);
    q->entry_bytes = q->incompatible & QCOW2_EXTENDED_L2 ? 16 : 8;
    q->l2_bits = q->bits - (q->entry_bytes == 16 ? 4 : 3);
    q->l1_size = get_be32(head + QCOW2_L1_SIZE);
    q->l1_offset = get_be64(head + QCOW2_L1_OFFSET);
    if (read_extensions(im, q, header, backing && backing < q->cluster ? backing : q->cluster, err) < 0)
        return err->code;
    return read_backing_name(im, q, head, err);
}

/* ---- snapshots ---- */

struct snapshot {
    uint64_t l1_offset, size;
    uint32_t l1_size;
    char id[256], name[256];
    uint64_t bytes;  /* of its entry in the table */
};

enum {
    SNAPSHOT_L1_OFFSET = 0, SNAPSHOT_L1_SIZE = 8, SNAPSHOT_ID_BYTES = 12, SNAPSHOT_NAME_BYTES = 14, SNAPSHOT_EXTRA_BYTES = 36,
    SNAPSHOT_HEAD = 40,
};

static int read_text(struct block_image *im, uint64_t at, uint32_t len, char *to, size_t room)
{
    size_t n = len < room ? len : room - 1;

    to[n] = 0;
    return source_read(im, at, to, n);
}

static int read_snapshot(struct block_image *im, uint64_t at, struct snapshot *s)
{
    uint8_t head[SNAPSHOT_HEAD], extra[16];
    uint32_t id, name, extras;

    if (source_read(im, at, head, sizeof(head)) < 0)
        return -EIO;
    s->l1_offset = get_be64(head + SNAPSHOT_L1_OFFSET);
    s->l1_size = get_be32(head + SNAPSHOT_L1_SIZE);
    id = (uint32_t)get_be(head + SNAPSHOT_ID_BYTES, 2);
    name = (uint32_t)get_be(head + SNAPSHOT_NAME_BYTES, 2);
    extras = get_be32(head + SNAPSHOT_EXTRA_BYTES);
    s->size = im->size;
    if (extras >= sizeof(extra)) {
        if (source_read(im, at + SNAPSHOT_HEAD, extra, sizeof(extra)) < 0)
            return -EIO;
        s->size = get_be64(extra + 8);
    }
    at += SNAPSHOT_HEAD + (uint64_t)extras;
    if (read_text(im, at, id, s->id, sizeof(s->id)) < 0 || read_text(im, at + id, name, s->name, sizeof(s->name)) < 0)
        return -EIO;
    s->bytes = (SNAPSHOT_HEAD + (uint64_t)extras + id + name + 7) & ~UINT64_C(7);
    return 0;
}

/* A name before a number: names may look like numbers. */
static int find_snapshot(struct block_image *im, const uint8_t *head, const char *wanted, struct snapshot *found,
                         struct error *err)
{
    uint32_t n = get_be32(head + QCOW2_NB_SNAPSHOTS);
    uint64_t at = get_be64(head + QCOW2_SNAPSHOTS_OFFSET), end = at + MAX_SNAPSHOT_TABLE;
    bool by_id = false;
    struct snapshot s;

    if (n > MAX_SNAPSHOTS || at > im->source.size)
        return malformed(im, err, "its snapshots lie nowhere");
    for (uint32_t i = 0; i < n; i++) {
        if (at > end || read_snapshot(im, at, &s) < 0)
            return malformed(im, err, "its list of snapshots does not end in the file");
        at += s.bytes;
        if (!strcmp(s.name, wanted)) {
            *found = s;
            return 0;
        }
        if (!by_id && !strcmp(s.id, wanted)) {
            *found = s;
            by_id = true;
        }
    }
    return by_id ? 0 : error_set(err, -ENOENT, "%s has no snapshot '%.100s'", im->source.name, wanted);
}

static int use_snapshot(struct block_image *im, struct qcow2 *q, const uint8_t *head, const char *wanted,
                        struct error *err)
{
    struct snapshot s = {0};

    if (find_snapshot(im, head, wanted, &s, err) < 0)
        return err->code;
    q->l1_offset = s.l1_offset;
    q->l1_size = s.l1_size;
    im->size = s.size;
    return 0;
}

/* ---- opening ---- */

static int read_l1(struct block_image *im, struct qcow2 *q, struct error *err)
{
    uint64_t bytes = (uint64_t)q->l1_size * 8, span = (uint64_t)1 << (q->bits + q->l2_bits);

    if (bytes > MAX_L1_BYTES)
        return malformed(im, err, "its L1 table is larger than any");
    if (im->size > BLOCK_MAX_BYTES || (im->size + span - 1) / span > q->l1_size)
        return malformed(im, err, "its L1 table is too small for the disk");
    q->l1 = xcalloc(q->l1_size + 1, 8);
    if (bytes && source_read(im, q->l1_offset, q->l1, bytes) < 0)
        return malformed(im, err, "its L1 table lies outside of the file");
    return 0;
}

static int open_data_file(struct block_image *im, struct qcow2 *q, const struct block_opener *opener, struct error *err)
{
    char *path;
    int r;

    if (!*q->data_file)
        return malformed(im, err, "it does not say where its data file is");
    path = block_resolve(im, q->data_file);
    r = opener->open(opener->ctx, path, &im->data, err);
    free(path);
    if (r < 0)
        error_prefix(err, "%s: data file", im->source.name);
    return r;
}

/* The names of QEMU's protocols for plain bytes mean raw. */
static const char *backing_format(const struct qcow2 *q)
{
    if (!*q->backing_format)
        return NULL;
    if (!strcmp(q->backing_format, "file") || !strcmp(q->backing_format, "host_device"))
        return "raw";
    return q->backing_format;
}

static int qcow2_open(struct block_image *im, const char *snapshot, const struct block_opener *opener, struct error *err)
{
    struct qcow2 *q = xcalloc(1, sizeof(*q));
    uint8_t head[QCOW2_HEADER_V3] = {0};
    size_t len = im->source.size < sizeof(head) ? (size_t)im->source.size : sizeof(head);

    im->state = q;
    if (source_read(im, 0, head, len) < 0)
        return error_set(err, -EIO, "%s: cannot read", im->source.name);
    if (!qcow2_probe(head, len))
        return error_set(err, -EINVAL, "%s is no qcow2 image", im->source.name);
    if (read_header(im, q, head, err) < 0 || (snapshot && use_snapshot(im, q, head, snapshot, err) < 0) ||
        read_l1(im, q, err) < 0)
        return err->code;
    if (q->incompatible & QCOW2_DATA_FILE && open_data_file(im, q, opener, err) < 0)
        return err->code;
    return *q->backing ? block_open_backing(im, q->backing, backing_format(q), opener, err) : 0;
}

static void qcow2_close(struct block_image *im)
{
    struct qcow2 *q = im->state;

    if (!q)
        return;
    for (unsigned i = 0; i < L2_SLOTS; i++)
        free(q->l2[i].bytes);
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++)
        free(q->clusters[i].bytes);
    free(q->packed);
    free(q->l1);
    free(q);
}

/* ---- reading ---- */

/* What is wrong with how the image holds the byte `offset` of the disk. */
static int lost(struct block_image *im, uint64_t offset, const char *what)
{
    return error_set(&im->why, -EIO, "%s is a damaged qcow2 image: %s (the cluster with byte %" PRIu64 " of the disk)", im->source.name,
                     what, offset);
}

/* The slot that has `key`; else the one used longest ago, with `key` 0 and room for a cluster. */
static struct cached *cache_slot(struct qcow2 *q, struct cached *slots, unsigned n, uint64_t key)
{
    struct cached *old = slots;

    for (unsigned i = 0; i < n; i++) {
        if (slots[i].key == key) {
            slots[i].used = ++q->clock;
            return &slots[i];
        }
        if (slots[i].used < old->used)
            old = &slots[i];
    }
    if (!old->bytes)
        old->bytes = xmalloc(q->cluster);
    old->key = 0;
    old->used = ++q->clock;
    return old;
}

/* The entry (two words with subclusters) for a place on the disk. 0 or negative errno. */
static int find_entry(struct block_image *im, struct qcow2 *q, uint64_t offset, uint64_t *entry, uint64_t *bitmap)
{
    uint64_t l1_index = offset >> (q->bits + q->l2_bits);
    uint64_t l2_index = offset >> q->bits & (((uint64_t)1 << q->l2_bits) - 1);
    uint64_t table = l1_index < q->l1_size ? get_be64(q->l1 + 8 * l1_index) & QCOW2_OFFSET : 0;
    struct cached *slot;
    const uint8_t *at;
    int r;

    *entry = *bitmap = 0;
    if (!table)
        return 0;
    if (table & (q->cluster - 1))
        return lost(im, offset, "an L2 table begins within a cluster");
    if (table > im->source.size || q->cluster > im->source.size - table)
        return lost(im, offset, "an L2 table lies outside of the file");
    slot = cache_slot(q, q->l2, L2_SLOTS, table);
    if (!slot->key) {
        r = source_read(im, table, slot->bytes, q->cluster);
        if (r < 0)
            return r;
        slot->key = table;
    }
    at = slot->bytes + l2_index * q->entry_bytes;
    *entry = get_be64(at);
    if (q->entry_bytes == 16)
        *bitmap = get_be64(at + 8);
    return 0;
}

static int inflate_cluster(const uint8_t *packed, size_t len, uint8_t *out, size_t size)
{
    z_stream z = {.next_in = (uint8_t *)(uintptr_t)packed, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)size};
    int r;

    if (inflateInit2(&z, RAW_DEFLATE_BITS) != Z_OK)
        return -ENOMEM;
    r = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

#ifdef HAVE_ZSTD
static int unzstd_cluster(const uint8_t *packed, size_t len, uint8_t *out, size_t size)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_inBuffer in = {packed, len, 0};
    ZSTD_outBuffer made = {out, size, 0};
    size_t before, r;

    if (!z)
        return -ENOMEM;
    do {
        before = in.pos + made.pos;
        r = ZSTD_decompressStream(z, &made, &in);
    } while (!ZSTD_isError(r) && made.pos < size && in.pos + made.pos > before);
    ZSTD_freeDCtx(z);
    return ZSTD_isError(r) || made.pos < size ? -EIO : 0;
}
#endif

static int unpack(const struct qcow2 *q, const uint8_t *packed, size_t len, uint8_t *out)
{
#ifdef HAVE_ZSTD
    if (q->compression == COMPRESSION_ZSTD)
        return unzstd_cluster(packed, len, out, q->cluster);
#endif
    return inflate_cluster(packed, len, out, q->cluster);
}

/* A compressed cluster: the entry says at which byte it begins and how many sectors it touches. */
static int read_compressed(struct block_image *im, struct qcow2 *q, uint64_t entry, uint64_t disk, uint8_t *buf, size_t len)
{
    unsigned offset_bits = 62 - (q->bits - 8);
    uint64_t offset = entry & (((uint64_t)1 << offset_bits) - 1);
    uint64_t sectors = ((entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> offset_bits) + 1;
    uint64_t bytes = sectors * 512 - (offset & 511);
    uint64_t within = disk & (q->cluster - 1);
    struct cached *slot = cache_slot(q, q->clusters, CLUSTER_SLOTS, entry);
    int r;

    if (!slot->key) {
        if (offset >= im->source.size)
            return lost(im, disk, "a compressed cluster lies outside of the file");
        if (im->data.read)
            return lost(im, disk, "a cluster is compressed, though a data file has them all");
        if (bytes > im->source.size - offset)
            bytes = im->source.size - offset;
        if (bytes > 2 * q->cluster + 512)
            bytes = 2 * q->cluster + 512;
        if (!q->packed)
            q->packed = xmalloc(2 * q->cluster + 512);
        r = source_read(im, offset, q->packed, bytes);
        if (r == 0 && unpack(q, q->packed, bytes, slot->bytes) < 0)
            r = lost(im, disk, "a compressed cluster cannot be unpacked");
        if (r < 0)
            return r;
        slot->key = entry;
    }
    memcpy(buf, slot->bytes + within, len);
    return 0;
}

/* Bytes that lie in the file as they are. A file may end within its last cluster, but not before it. */
static int read_plain(struct block_image *im, const struct qcow2 *q, uint64_t cluster, uint64_t disk, uint8_t *buf, size_t len)
{
    const struct block_source *s = im->data.read ? &im->data : &im->source;
    uint64_t offset = cluster + (disk & (q->cluster - 1)), there;
    int r;

    if (cluster & (q->cluster - 1))
        return lost(im, disk, "a cluster is said to begin within another");
    if (cluster >= s->size)
        return lost(im, disk, im->data.read ? "a cluster lies behind the end of its data file" : "a cluster lies outside of the file");
    there = offset < s->size ? s->size - offset : 0;
    if (there < len) {
        memset(buf + there, 0, len - there);
        len = (size_t)there;
    }
    r = len ? s->read(s->ctx, offset, buf, len) : 0;
    return r < 0 ? error_set(&im->why, r, "%s: cannot read: %s", s->name, strerror(-r)) : 0;
}

static int read_backing(struct block_image *im, uint64_t offset, uint8_t *buf, size_t len)
{
    int r;

    if (im->backing) {
        r = block_read(im->backing, offset, buf, len);
        if (r < 0)
            im->why = im->backing->why;
        return r;
    }
    memset(buf, 0, len);
    return 0;
}

/* What holds a cluster, or a subcluster. */
enum holder { HELD_BY_BACKING, HELD_AS_ZERO, HELD_BY_FILE, HELD_WRONGLY };

static enum holder holder_of(const struct block_image *im, const struct qcow2 *q, uint64_t entry, uint64_t bitmap, unsigned sub)
{
    bool there = (entry & QCOW2_OFFSET) || (im->data.read && entry & QCOW2_COPIED);

    if (q->entry_bytes == 16) {
        bool data = bitmap >> sub & 1, zero = bitmap >> (32 + sub) & 1;

        if (data && (zero || !there))
            return HELD_WRONGLY;
        return zero ? HELD_AS_ZERO : data ? HELD_BY_FILE : HELD_BY_BACKING;
    }
    if (entry & QCOW2_ZERO)
        return q->version < 3 ? HELD_WRONGLY : HELD_AS_ZERO;
    return there ? HELD_BY_FILE : HELD_BY_BACKING;
}

/* Bytes of one cluster, or of one subcluster. */
static int read_cluster(struct block_image *im, struct qcow2 *q, uint64_t offset, uint8_t *buf, size_t len)
{
    uint64_t entry, bitmap, within = offset & (q->cluster - 1);
    int r = find_entry(im, q, offset, &entry, &bitmap);

    if (r < 0)
        return r;
    if (entry & QCOW2_COMPRESSED)
        return read_compressed(im, q, entry, offset, buf, len);
    switch (holder_of(im, q, entry, bitmap, (unsigned)(within / (q->cluster / QCOW2_SUBCLUSTERS)))) {
    case HELD_BY_BACKING:
        return read_backing(im, offset, buf, len);
    case HELD_AS_ZERO:
        memset(buf, 0, len);
        return 0;
    case HELD_BY_FILE:
        return read_plain(im, q, entry & QCOW2_OFFSET, offset, buf, len);
    default:
        return lost(im, offset, "a cluster is said to be zeros and data, or what its version does not have");
    }
}

static int qcow2_read(struct block_image *im, uint64_t offset, void *buf, size_t len)
{
    struct qcow2 *q = im->state;
    uint64_t unit = q->entry_bytes == 16 ? q->cluster / QCOW2_SUBCLUSTERS : q->cluster;
    uint8_t *to = buf;

    while (len) {
        uint64_t n = unit - (offset & (unit - 1));
        int r;

        if (n > len)
            n = len;
        r = read_cluster(im, q, offset, to, n);
        if (r < 0)
            return r;
        offset += n;
        to += n;
        len -= n;
    }
    return 0;
}

static bool qcow2_direct(struct block_image *im, uint64_t offset, size_t len)
{
    struct qcow2 *q = im->state;
    uint64_t entry, bitmap, end = offset + len;

    for (; offset < end; offset = (offset | (q->cluster - 1)) + 1) {
        if (find_entry(im, q, offset, &entry, &bitmap) < 0 || (entry & QCOW2_COMPRESSED))
            return false;
        if (im->backing && !block_is_direct(im->backing, offset, 1))
            return false;
    }
    return im->source.local && (!im->data.read || im->data.local);
}

const struct block_format block_qcow2 = {
    .name = "qcow2", .probe = qcow2_probe, .open = qcow2_open, .read = qcow2_read, .direct = qcow2_direct, .close = qcow2_close,
};

/*
 * Properties of storage devices. See disk_props.h.
 */
#include "vm/dev/disk_props.h"

#include <errno.h>
#include <string.h>

#define PHYSICAL_MOST ((uint64_t)2 << 20)

/* How many characters. 0: the device has no such property. */
static const struct {
    uint8_t serial, version;
} widths[] = {[DISK_ATA] = {20, 8}, [DISK_SCSI] = {36, 4}, [DISK_USB] = {31, 0}, [DISK_VIRTIO] = {20, 0}, [DISK_NVME] = {20, 0}};

/* Characters that identification may have: ASCII, to be seen. */
static int take_text(const struct option_list *props, const char *key, size_t most, char *to, struct error *err)
{
    const char *text = option_list_get(props, key);

    if (!text)
        return 0;
    if (strlen(text) > most)
        return error_set(err, -EINVAL, "%s=%s: at most %zu characters", key, text, most);
    for (const char *p = text; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            return error_set(err, -EINVAL, "%s=%s: a character that is not ASCII", key, text);
    strcpy(to, text);
    return 0;
}

static int take_names(struct drive *d, enum disk_kind kind, const struct option_list *props, struct error *err)
{
    struct drive_identity *id = &d->identity;
    uint64_t index = id->port_index;

    if (take_text(props, "serial", widths[kind].serial, d->serial, err) < 0 ||
        take_text(props, "ver", widths[kind].version, id->version, err) < 0 ||
        take_text(props, "model", sizeof(id->model) - 1, id->model, err) < 0 ||
        take_text(props, "vendor", sizeof(id->vendor) - 1, id->vendor, err) < 0 ||
        take_text(props, "product", sizeof(id->product) - 1, id->product, err) < 0 ||
        take_text(props, "device_id", sizeof(id->device_id) - 1, id->device_id, err) < 0 ||
        option_list_number(props, "wwn", 0, UINT64_MAX, &id->wwn, err) < 0 ||
        option_list_number(props, "port_wwn", 0, UINT64_MAX, &id->port_wwn, err) < 0 ||
        option_list_number(props, "port_index", 1, UINT16_MAX, &index, err) < 0)
        return -EINVAL;
    id->port_index = (uint16_t)index;
    return 0;
}

/* 0: not told; 1: it does not turn; or turns in a minute (SBC-3, 6.6.2). */
static int take_rotation(struct drive *d, const struct option_list *props, struct error *err)
{
    uint64_t rate = 1;

    if (option_list_number(props, "rotation_rate", 0, 0xfffe, &rate, err) < 0)
        return -EINVAL;
    if (rate > 1 && rate < 0x401)
        return error_set(err, -EINVAL, "rotation_rate=%llu: 0 (not told), 1 (it does not turn) or 1025 to 65534",
                         (unsigned long long)rate);
    d->identity.rotation_rate = (uint16_t)rate;
    return 0;
}

static int take_physical(struct drive *d, const struct option_list *props, struct error *err)
{
    uint64_t size = 0;

    if (option_list_size(props, "physical_block_size", 1, &size, err) < 0)
        return -EINVAL;
    if (option_list_get(props, "physical_block_size") && (size < d->c.sector_size || size > PHYSICAL_MOST || (size & (size - 1))))
        return error_set(err, -EINVAL, "physical_block_size=%s: a power of two, from the drive's %u bytes to 2M",
                         option_list_get(props, "physical_block_size"), d->c.sector_size);
    d->identity.physical_block = (uint32_t)size;
    return 0;
}

/* The sizes of requests that the device likes: whole sectors, `most` of them. */
static int take_io_size(const struct drive *d, const struct option_list *props, const char *key, uint64_t most, uint32_t *sectors,
                        struct error *err)
{
    uint64_t size = 0;

    if (option_list_size(props, key, 1, &size, err) < 0)
        return -EINVAL;
    if (size % d->c.sector_size || size / d->c.sector_size > most)
        return error_set(err, -EINVAL, "%s=%s: whole sectors of %u bytes, at most %llu", key, option_list_get(props, key),
                         d->c.sector_size, (unsigned long long)most);
    *sectors = (uint32_t)(size / d->c.sector_size);
    return 0;
}

/* The drive has these sectors already: who made it has looked (src/server/option_drives.c). */
static int take_blocks(struct drive *d, enum disk_kind kind, const struct option_list *props, struct error *err)
{
    uint64_t size = d->c.sector_size;

    if (option_list_size(props, "logical_block_size", 1, &size, err) < 0)
        return -EINVAL;
    if (size != d->c.sector_size || (kind == DISK_ATA && option_list_get(props, "logical_block_size") && size != 512))
        return error_set(err, -EINVAL, "logical_block_size=%s: this device has blocks of 512%s bytes",
                         option_list_get(props, "logical_block_size"), kind == DISK_ATA ? "" : " or 4096");
    if (take_physical(d, props, err) < 0 ||
        take_io_size(d, props, "min_io_size", UINT16_MAX, &d->identity.min_io, err) < 0 ||
        take_io_size(d, props, "opt_io_size", UINT32_MAX, &d->identity.opt_io, err) < 0)
        return -EINVAL;
    return 0;
}

int disk_props_take(struct drive *d, enum disk_kind kind, const struct option_list *props, struct error *err)
{
    if (take_names(d, kind, props, err) < 0 || take_rotation(d, props, err) < 0)
        return -EINVAL;
    return take_blocks(d, kind, props, err);
}

uint32_t disk_physical_block(const struct drive *d)
{
    return d->identity.physical_block > d->c.sector_size ? d->identity.physical_block : d->c.sector_size;
}

unsigned disk_physical_exponent(const struct drive *d)
{
    return (unsigned)__builtin_ctz(disk_physical_block(d) / d->c.sector_size);
}

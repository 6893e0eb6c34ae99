/*
 * See backends.h.
 */
#include "backends.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/option_list.h"
#include "chardev_options.h"
#include "host/output.h"
#include "option_tpm.h"
#include "option_usb.h"
#include "vm/dev/tpm.h"
#include "vm/machine.h"

static struct chardev *open_back(struct server_config *c, const char *spec, const char *name, bool force, struct error *err)
{
    char *note;
    struct chardev *back = chardev_open(spec, name, force ? HOST_FORCE : 0, &note, err);

    if (back)
        c->backs[c->nbacks++] = back;
    if (note)
        fprintf(stderr, "hindcast: %s\n", note);
    free(note);
    return back;
}

static void connect_port(struct server_config *c, const char *device, struct chardev *back)
{
    struct server_connection *n = &c->connections[c->nconnections++];

    snprintf(n->device, sizeof n->device, "%s", device);
    n->back = back;
}

static bool is_connected(const struct server_config *c, const char *device)
{
    for (unsigned i = 0; i < c->nconnections; i++)
        if (!strcmp(c->connections[i].device, device))
            return true;
    return false;
}

/* A --chardev opened for the first port that names it. */
static struct chardev *open_chardev(struct server_config *c, const struct chardev_options *named, bool force, struct error *err)
{
    const char *log = (const char *)named->logfile.data, *input = (const char *)named->input.data;
    unsigned may = force ? HOST_FORCE : 0;
    char *note;
    struct chardev *back = chardev_open((const char *)named->spec.data, (const char *)named->id.data,
                                        may | (named->append ? HOST_APPEND : 0), &note, err);

    if (note)
        fprintf(stderr, "hindcast: %s\n", note);
    free(note);
    if (!back)
        return NULL;
    c->backs[c->nbacks++] = back;
    if (*log && chardev_log(back, log, may | (named->log_append ? HOST_APPEND : 0), err) < 0)
        return NULL;
    if (*input && chardev_input_file(back, input, err) < 0)
        return NULL;
    if (named->mux)
        chardev_share(back);
    return back;
}

/* The --chardev of that name; at most one port is connected to it, but with mux=on. `option`: whose, for messages. */
static struct chardev *open_named(struct server_config *c, const struct options *o, const char *option, const char *id,
                                  struct chardev **opened, struct error *err)
{
    struct chardev *back = NULL;

    error_set(err, -EINVAL, "%s: there is no --chardev with id=%s", option, id);
    for (unsigned i = 0; !back && i < o->chardev_count; i++) {
        struct chardev_options named;

        if (chardev_options_parse(&named, o->chardev[i], err) == 0 && !strcmp((const char *)named.id.data, id)) {
            if (!opened[i])
                back = opened[i] = open_chardev(c, &named, o->force, err);
            else if (named.mux)
                back = opened[i];
            else
                error_set(err, -EINVAL, "%s: another port is connected to --chardev %s (mux=on connects several)", option, id);
            i = o->chardev_count;
        }
        chardev_options_finish(&named);
    }
    return back;
}

/* Which --chardev has that id; chardev_count: none. With `spec`, what it says, appended. */
static unsigned find_chardev(const struct options *o, const char *id, struct buffer *spec)
{
    unsigned i = 0;

    for (bool has = false; i < o->chardev_count; i++) {
        struct chardev_options named;
        struct error ignored;

        has = chardev_options_parse(&named, o->chardev[i], &ignored) == 0 && !strcmp((const char *)named.id.data, id);
        if (has && spec)
            buffer_append(spec, named.spec.data, named.spec.len);
        chardev_options_finish(&named);
        if (has)
            break;
    }
    return i;
}

static bool has_chardev(const struct options *o, const char *id)
{
    return find_chardev(o, id, NULL) < o->chardev_count;
}

/* Devices that were plugged in with a chardev=ID. */
static int open_device_ports(struct server_config *c, const struct options *o, struct chardev **opened, struct error *err)
{
    for (unsigned i = 0; i < c->machine->ndevices; i++) {
        const struct device *dev = c->machine->devices[i];
        struct chardev *back;
        char option[64];

        if (dev->backend_kind != BACKEND_CHARDEV || (o->replay && !has_chardev(o, dev->backend)))
            continue; /* a replay needs none: its input is in the recording */
        if (c->nconnections == SERVER_MAX_PORTS - 1)
            return error_set(err, -EINVAL, "device %s: a machine has at most %d ports to the host", dev->name, SERVER_MAX_PORTS);
        snprintf(option, sizeof option, "device %s", dev->name);
        back = open_named(c, o, option, dev->backend, opened, err);
        if (!back)
            return err->code;
        connect_port(c, dev->name, back);
    }
    return 0;
}

static bool is_tpms_chardev(const struct options *o, unsigned n)
{
    struct error ignored = {0};
    struct option_tpmdev t;
    bool is = o->tpmdev && option_tpmdev_parse(&t, o->tpmdev, &ignored) == 0 && find_chardev(o, t.chardev, NULL) == n;

    if (o->tpmdev)
        option_tpmdev_finish(&t);
    return is;
}

/* The serial ports, semihosting's console (where the first one is), and the debug console. */
static int open_ports(struct server_config *c, const struct options *o, struct error *err)
{
    struct chardev *opened[OPTIONS_MAX_CHARDEV] = {NULL};
    struct chardev *back;

    for (unsigned i = 0; i < o->serial_count; i++) {
        char name[24], device[16], option[80];

        snprintf(name, sizeof name, "serial%u", i);
        snprintf(device, sizeof device, "uart%u", i);
        snprintf(option, sizeof option, "--serial %.60s", o->serial[i]);
        if (!machine_find_device(c->machine, device))
            return error_set(err, -EINVAL, "--serial %s: this machine has %u serial port%s", o->serial[i], i,
                             i == 1 ? "" : "s");
        if (!strncmp(o->serial[i], "chardev:", 8))
            back = open_named(c, o, option, o->serial[i] + 8, opened, err);
        else
            back = open_back(c, o->serial[i], name, o->force, err);
        if (!back)
            return err->code;
        connect_port(c, device, back);
        if (i == 0)
            connect_port(c, "semihosting", back);
    }
    if (open_device_ports(c, o, opened, err) < 0)
        return err->code;
    if (!is_connected(c, "debugcon")) {
        back = open_back(c, o->debugcon ? o->debugcon : "stderr", "debug console", o->force, err);
        if (!back)
            return err->code;
        connect_port(c, "debugcon", back);
    } else if (o->debugcon) {
        return error_set(err, -EINVAL, "--debugcon %s: the debug console has a chardev by --device isa-debugcon", o->debugcon);
    }
    for (unsigned i = 0; i < o->chardev_count; i++)
        if (!opened[i] && !is_tpms_chardev(o, i))
            return error_set(err, -EINVAL, "--chardev %s: no port is connected to it (--serial chardev:ID, --device pci-serial,"
                             "chardev=ID)", o->chardev[i]);
    return 0;
}

static bool has_backend(const struct machine *m, enum device_backend kind, const char *id)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->backend_kind == kind && !strcmp(m->devices[i]->backend, id))
            return true;
    return false;
}

static bool has_netdev(const struct server_config *c, const char *id)
{
    for (unsigned i = 0; i < c->nnetdevs; i++)
        if (!strcmp(netdev_id(c->netdevs[i]), id))
            return true;
    return false;
}

/* The networks. A replay has none. */
static int open_netdevs(struct server_config *c, const struct options *o, struct error *err)
{
    bool live = !o->replay || o->continue_live;

    for (unsigned i = 0; live && i < o->net.count; i++) {
        char *note;
        struct netdev *n = netdev_open(o->net.netdevs[i], o->force ? HOST_FORCE : 0, &note, err);

        if (note)
            fprintf(stderr, "hindcast: %s\n", note);
        free(note);
        if (!n)
            return err->code;
        c->netdevs[c->nnetdevs++] = n;
        if (!has_backend(c->machine, BACKEND_NETDEV, netdev_id(n)))
            return error_set(err, -EINVAL, "--netdev %s: no card is connected to it (--device CARD,netdev=%s)",
                             o->net.netdevs[i], netdev_id(n));
    }
    for (unsigned i = 0; !o->replay && i < c->machine->ndevices; i++) {
        const struct device *dev = c->machine->devices[i];

        if (dev->backend_kind == BACKEND_NETDEV && !has_netdev(c, dev->backend))
            return error_set(err, -EINVAL, "card %s: there is no --netdev with id=%s", dev->name, dev->backend);
    }
    return 0;
}

/* What is heard; of a replay, too. */
static int open_audiodevs(struct server_config *c, const struct options *o, struct error *err)
{
    for (unsigned i = 0; i < o->audiodev_count; i++) {
        struct audiodev *a = audiodev_open(o->audiodev[i], o->force ? HOST_FORCE : 0, err);

        if (!a)
            return err->code;
        c->audiodevs[c->naudiodevs++] = a;
        if (!has_backend(c->machine, BACKEND_AUDIODEV, audiodev_id(a)))
            return error_set(err, -EINVAL, "--audiodev %s: no sound card is connected to it (--device AC97,audiodev=%s)",
                             o->audiodev[i], audiodev_id(a));
    }
    for (unsigned i = 0; !o->replay && i < c->machine->ndevices; i++) {
        const struct device *dev = c->machine->devices[i];
        bool found = dev->backend_kind != BACKEND_AUDIODEV;

        for (unsigned k = 0; k < c->naudiodevs && !found; k++)
            found = !strcmp(audiodev_id(c->audiodevs[k]), dev->backend);
        if (!found)
            return error_set(err, -EINVAL, "sound card %s: there is no --audiodev with id=%s", dev->name, dev->backend);
    }
    return 0;
}

/* Before its file is made. */
static int check_dump(const struct server_config *c, const char *text, struct error *err)
{
    struct option_list l;
    int r = option_list_parse(&l, "--object", text, "qom-type", NULL, err);
    const char *id = r == 0 ? option_list_get(&l, "netdev") : NULL;

    if (id && !has_netdev(c, id))
        r = error_set(err, -EINVAL, "--object %s: there is no --netdev with id=%s", text, id);
    option_list_finish(&l);
    return r;
}

/* Captures of them. */
static int open_dumps(struct server_config *c, const struct options *o, struct error *err)
{
    bool live = !o->replay || o->continue_live;

    for (unsigned i = 0; i < o->net.ndumps; i++) {
        struct net_dump *d;

        if (!live)
            return error_set(err, -EINVAL, "--object %s: nothing goes over a network in a replay (monitor pcap FILE writes what went)",
                             o->net.dumps[i]);
        if (check_dump(c, o->net.dumps[i], err) < 0)
            return err->code;
        d = net_dump_open(o->net.dumps[i], o->force ? HOST_FORCE : 0, err);
        if (!d)
            return err->code;
        c->dumps[c->ndumps++] = d;
    }
    return 0;
}

static bool has_fsdev(const struct server_config *c, const char *id)
{
    for (unsigned i = 0; i < c->nfsdevs; i++)
        if (!strcmp(c->fsdevs[i].id, id))
            return true;
    return false;
}

/* The shared directories. A replay touches none. */
static int open_fsdevs(struct server_config *c, const struct options *o, struct error *err)
{
    bool live = !o->replay || o->continue_live;

    for (unsigned i = 0; live && i < o->fsdevs.count; i++) {
        const struct option_fsdev *f = &o->fsdevs.list[i];
        struct server_fsdev *to = &c->fsdevs[c->nfsdevs];

        if (!has_backend(c->machine, BACKEND_FSDEV, f->id))
            return error_set(err, -EINVAL, "--fsdev %s: no device shares it (--device virtio-9p-pci,fsdev=%s,mount_tag=TAG)", f->id, f->id);
        snprintf(to->id, sizeof(to->id), "%s", f->id);
        to->files = host_files_open(f->path, HOST_FILES_SYSTEM | (f->writable ? 0 : HOST_FILES_READ_ONLY), err);
        if (!to->files)
            return err->code;
        c->nfsdevs++;
    }
    for (unsigned i = 0; !o->replay && i < c->machine->ndevices; i++) {
        const struct device *dev = c->machine->devices[i];

        if (dev->backend_kind == BACKEND_FSDEV && !has_fsdev(c, dev->backend))
            return error_set(err, -EINVAL, "device %s: there is no --fsdev with id=%s", dev->name, dev->backend);
    }
    return 0;
}

static uint32_t tpm_bytes(const struct machine *m)
{
    for (unsigned i = 0; i < m->ndevices; i++)
        if (m->devices[i]->backend_kind == BACKEND_TPMDEV)
            return tpm_buffer_bytes(m->devices[i]);
    return 0;
}

/* By its chardev, which is its control channel, and not one for bytes. */
static int connect_tpm(struct server_config *c, const struct options *o, const struct option_tpmdev *t, struct error *err)
{
    struct buffer spec;
    const char *path;
    int r = 0;

    buffer_init(&spec);
    find_chardev(o, t->chardev, &spec);
    path = spec.len && !strncmp((const char *)spec.data, "unix:", 5) ? (const char *)spec.data + 5 : NULL;
    if (!has_backend(c->machine, BACKEND_TPMDEV, t->id))
        r = error_set(err, -EINVAL, "--tpmdev %s: no device has that TPM (--device tpm-tis,tpmdev=%s)", o->tpmdev, t->id);
    else if (!path || strchr(path, ','))
        r = error_set(err, -EINVAL, "--tpmdev %s: there is no --chardev socket,id=%s,path=FILE", o->tpmdev, t->chardev);
    else
        c->tpm = tpmdev_open(path, t->id, tpm_bytes(c->machine), err);
    buffer_finish(&spec);
    return r < 0 ? r : c->tpm ? 0 : err->code;
}

/* The TPM. A replay has none; one that goes on live switches it on where that begins. */
static int open_tpm(struct server_config *c, const struct options *o, struct error *err)
{
    struct option_tpmdev t;
    int r = 0;

    if (o->tpmdev) {
        r = option_tpmdev_parse(&t, o->tpmdev, err);
        if (r == 0)
            r = connect_tpm(c, o, &t, err);
        option_tpmdev_finish(&t);
        if (r == 0 && !o->replay)
            r = tpmdev_start(c->tpm, NULL, err);
        return r;
    }
    for (unsigned i = 0; !o->replay && i < c->machine->ndevices; i++)
        if (c->machine->devices[i]->backend_kind == BACKEND_TPMDEV)
            return error_set(err, -EINVAL, "TPM %s: there is no --tpmdev with id=%s", c->machine->devices[i]->name,
                             c->machine->devices[i]->backend);
    return r;
}

/* Devices of the host. One that was there when a recording was made may be missing when it goes on: then it is gone. */
static int open_usbdevs(struct server_config *c, const struct options *o, struct error *err)
{
    for (unsigned i = 0; i < c->machine->ndevices; i++) {
        if (c->machine->devices[i]->backend_kind != BACKEND_USB || (o->replay && !o->continue_live))
            continue;
        if (c->nusbdevs == SERVER_MAX_USBDEVS)
            return error_set(err, -EINVAL, "--device usb-host: at most %d", SERVER_MAX_USBDEVS);
        c->usbdevs[c->nusbdevs] = option_usb_open(&o->drives, c->nusbdevs, err);
        if (!c->usbdevs[c->nusbdevs++] && !o->replay)
            return err->code;
        if (!c->usbdevs[c->nusbdevs - 1])
            fprintf(stderr, "hindcast: %s: to the guest it is gone\n", err->text);
    }
    return 0;
}

static int open_listener(struct server_config *c, const struct options *o, struct error *err)
{
    int r = o->listen && !o->gdb_stdio ? listener_open(&c->listener, o->listen, err) : 0;

    if (r < 0)
        error_prefix(err, "--listen");
    return r;
}

int backends_open(struct server_config *c, const struct options *o, struct error *err)
{
    if (o->semihost_dir) {
        c->files = host_files_open(o->semihost_dir, 0, err);
        if (!c->files)
            return err->code;
    }
    if (open_listener(c, o, err) < 0 || open_ports(c, o, err) < 0 || open_netdevs(c, o, err) < 0 || open_dumps(c, o, err) < 0 ||
        open_audiodevs(c, o, err) < 0 || open_fsdevs(c, o, err) < 0 || open_usbdevs(c, o, err) < 0 || open_tpm(c, o, err) < 0)
        return err->code;
    return 0;
}

void backends_close(struct server_config *c)
{
    listener_close(&c->listener);
    for (unsigned i = 0; i < c->nnetdevs; i++)
        netdev_close(c->netdevs[i]);
    for (unsigned i = 0; i < c->ndumps; i++)
        net_dump_close(c->dumps[i]);
    for (unsigned i = 0; i < c->naudiodevs; i++)
        audiodev_close(c->audiodevs[i]);
    for (unsigned i = 0; i < c->nusbdevs; i++)
        usbdev_close(c->usbdevs[i]);
    for (unsigned i = 0; i < c->nbacks; i++)
        chardev_close(c->backs[i]);
    host_files_close(c->files);
    tpmdev_close(c->tpm);
    for (unsigned i = 0; i < c->nfsdevs; i++)
        host_files_close(c->fsdevs[i].files);
}

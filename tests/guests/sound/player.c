/*
 * Plays and records by Linux's own interface (sound/asound.h), without a library, for test_sound.py.
 *
 *   player controls                                    list the card's controls
 *   player set NAME VALUE...                           set one
 *   player play DEVICE RATE CHANNELS BITS FRAMES SEED  play frames that are a function of SEED
 *   player record DEVICE RATE CHANNELS BITS FRAMES     print a line of hexadecimal digits for each 32 frames
 *   player both DEVICE RATE FRAMES SEED                play and record at the same time, 2 channels of 16 bits
 *
 * What it does is done when it prints "player: ...".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sound/asound.h>

static void die(const char *what)
{
    printf("player: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int control(void)
{
    int fd = open("/dev/snd/controlC0", O_RDWR);

    if (fd < 0)
        die("controlC0");
    return fd;
}

static void list(void)
{
    struct snd_ctl_elem_list l = {.space = 200};
    int fd = control();

    l.pids = calloc(l.space, sizeof(*l.pids));
    if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_LIST, &l) < 0)
        die("list");
    for (unsigned i = 0; i < l.used; i++) {
        struct snd_ctl_elem_info info = {.id = l.pids[i]};

        ioctl(fd, SNDRV_CTL_IOCTL_ELEM_INFO, &info);
        printf("control '%s' type %d, %u values, %ld to %ld\n", l.pids[i].name, (int)info.type, info.count,
               info.type == SNDRV_CTL_ELEM_TYPE_INTEGER ? info.value.integer.min : 0,
               info.type == SNDRV_CTL_ELEM_TYPE_INTEGER ? info.value.integer.max : (long)info.value.enumerated.items);
    }
}

static void set(char **argv)
{
    struct snd_ctl_elem_value v = {.id = {.iface = SNDRV_CTL_ELEM_IFACE_MIXER}};
    struct snd_ctl_elem_info info = {0};
    int fd = control();

    strcpy((char *)v.id.name, argv[0]);
    info.id = v.id;
    if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_INFO, &info) < 0)
        die(argv[0]);
    for (unsigned i = 0; argv[i + 1]; i++)
        if (info.type == SNDRV_CTL_ELEM_TYPE_ENUMERATED)
            v.value.enumerated.item[i] = (unsigned)atoi(argv[i + 1]);
        else
            v.value.integer.value[i] = atoi(argv[i + 1]);
    if (ioctl(fd, SNDRV_CTL_IOCTL_ELEM_WRITE, &v) < 0)
        die(argv[0]);
    printf("player: %s is set\n", argv[0]);
}

static struct snd_interval *interval(struct snd_pcm_hw_params *p, int which)
{
    return &p->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void choose(struct snd_pcm_hw_params *p, int which, unsigned value)
{
    *interval(p, which) = (struct snd_interval){.min = value, .max = value, .integer = 1};
}

static void choose_mask(struct snd_pcm_hw_params *p, int which, unsigned value)
{
    struct snd_mask *m = &p->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];

    memset(m, 0, sizeof(*m));
    m->bits[value / 32] = 1u << value % 32;
}

static int open_pcm(const char *device, char way, unsigned rate, unsigned channels, unsigned bits)
{
    struct snd_pcm_hw_params p;
    struct snd_pcm_sw_params sw = {0};
    char path[40];
    int fd;

    snprintf(path, sizeof(path), "/dev/snd/pcmC0D%s%c", device, way);
    fd = open(path, O_RDWR);
    if (fd < 0)
        die(path);
    memset(&p, 0, sizeof(p));
    memset(p.masks, 0xff, sizeof(p.masks));
    for (unsigned i = 0; i < sizeof(p.intervals) / sizeof(p.intervals[0]); i++)
        p.intervals[i].max = ~0u;
    p.rmask = ~0u;
    choose_mask(&p, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
    choose_mask(&p, SNDRV_PCM_HW_PARAM_FORMAT, bits == 16 ? SNDRV_PCM_FORMAT_S16_LE : bits == 8 ? SNDRV_PCM_FORMAT_U8 : SNDRV_PCM_FORMAT_S32_LE);
    choose(&p, SNDRV_PCM_HW_PARAM_CHANNELS, channels);
    choose(&p, SNDRV_PCM_HW_PARAM_RATE, rate);
    choose(&p, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, 1024);
    choose(&p, SNDRV_PCM_HW_PARAM_PERIODS, 4);
    if (ioctl(fd, SNDRV_PCM_IOCTL_HW_PARAMS, &p) < 0)
        die("hw_params");
    sw.period_step = 1;
    sw.avail_min = 1;
    sw.start_threshold = way == 'p' ? 4096 : 1;
    sw.stop_threshold = 4096;
    sw.boundary = 4096;
    while (sw.boundary < 0x40000000)
        sw.boundary *= 2;
    if (ioctl(fd, SNDRV_PCM_IOCTL_SW_PARAMS, &sw) < 0)
        die("sw_params");
    if (ioctl(fd, SNDRV_PCM_IOCTL_PREPARE) < 0)
        die("prepare");
    return fd;
}

/* Sample i: what test_sound.py's tone() says. */
static uint32_t tone(uint32_t i, uint32_t seed)
{
    uint32_t x = (i + seed) * 2654435761u;

    return x ^ x >> 15;
}

static void fill(uint8_t *to, uint32_t first, unsigned n, unsigned bytes, uint32_t seed)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t v = tone(first + i, seed) >> (32 - 8 * bytes);

        memcpy(to + i * bytes, &v, bytes);
    }
}

static void move(int fd, char way, void *buf, unsigned frames)
{
    struct snd_xferi x = {.buf = buf, .frames = frames};

    if (ioctl(fd, way == 'p' ? SNDRV_PCM_IOCTL_WRITEI_FRAMES : SNDRV_PCM_IOCTL_READI_FRAMES, &x) < 0)
        die(way == 'p' ? "write" : "read");
    if (x.result != (long)frames)
        die("only a part");
}

static uint8_t buffer[256 * 8 * 4];

static void play(const char *device, unsigned rate, unsigned channels, unsigned bits, unsigned frames, unsigned seed)
{
    int fd = open_pcm(device, 'p', rate, channels, bits);

    for (unsigned at = 0; at < frames; at += 256) {
        unsigned n = frames - at < 256 ? frames - at : 256;

        fill(buffer, at * channels, n * channels, bits / 8, seed);
        move(fd, 'p', buffer, n);
    }
    if (ioctl(fd, SNDRV_PCM_IOCTL_DRAIN) < 0)
        die("drain");
    printf("player: %u frames played\n", frames);
}

static void print(const uint8_t *p, size_t n)
{
    printf("recorded ");
    for (size_t i = 0; i < n; i++)
        printf("%02x", p[i]);
    printf("\n");
}

static void record(const char *device, unsigned rate, unsigned channels, unsigned bits, unsigned frames)
{
    unsigned frame = channels * bits / 8;
    uint8_t *all = malloc(frames * frame);
    int fd = open_pcm(device, 'c', rate, channels, bits);

    for (unsigned at = 0; at < frames; at += 32)
        move(fd, 'c', all + at * frame, 32);
    close(fd);
    for (unsigned at = 0; at < frames; at += 32)
        print(all + at * frame, 32 * frame);
    printf("player: %u frames recorded\n", frames);
}

static void both(const char *device, unsigned rate, unsigned frames, unsigned seed)
{
    uint8_t *all = malloc(frames * 4);
    int out = open_pcm(device, 'p', rate, 2, 16), in = open_pcm(device, 'c', rate, 2, 16);

    for (unsigned at = 0; at < 4096; at += 256) {
        fill(buffer, at * 2, 512, 2, seed);
        move(out, 'p', buffer, 256);
    }
    for (unsigned at = 0; at < frames; at += 256) {
        move(in, 'c', all + at * 4, 256);
        if (at + 4096 < frames) {
            fill(buffer, (at + 4096) * 2, 512, 2, seed);
            move(out, 'p', buffer, 256);
        }
    }
    close(in);
    if (ioctl(out, SNDRV_PCM_IOCTL_DRAIN) < 0)
        die("drain");
    for (unsigned at = 0; at < frames && at < 2048; at += 32)
        print(all + at * 4, 128);
    printf("player: %u frames played and recorded\n", frames);
}

int main(int argc, char **argv)
{
    unsigned n[5] = {0};

    for (int i = 3; i < argc && i < 8; i++)
        n[i - 3] = (unsigned)atoi(argv[i]);
    if (argc > 1 && !strcmp(argv[1], "controls"))
        list();
    else if (argc > 3 && !strcmp(argv[1], "set"))
        set(argv + 2);
    else if (argc == 8 && !strcmp(argv[1], "play"))
        play(argv[2], n[0], n[1], n[2], n[3], n[4]);
    else if (argc == 7 && !strcmp(argv[1], "record"))
        record(argv[2], n[0], n[1], n[2], n[3]);
    else if (argc == 6 && !strcmp(argv[1], "both"))
        both(argv[2], n[0], n[1], n[2]);
    else
        printf("player: words are missing\n");
    return 0;
}

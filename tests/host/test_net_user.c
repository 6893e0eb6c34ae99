/*
 * The guest's network behind the host's sockets (libslirp), from the guest's side of the cable: what is sent there reaches the
 * host, or does not with restrict=on; and no frame at all does hindcast harm. Nothing here leaves this machine.
 */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "host/netdev.h"
#include "tests/check_main.h"

#define MS 1000000u

static struct netdev *opened(const char *text)
{
    struct error err = {0};
    char *note;
    struct netdev *n = netdev_open(text, 0, &note, &err);

    ck_assert_msg(n != NULL, "%s: %s", text, err.text);
    free(note);
    return n;
}

#ifdef HAVE_SLIRP
static const uint8_t our_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
static const uint8_t its_mac[6] = {0x52, 0x55, 0x0a, 0, 2, 2};

/* A little of the host's time passes for it. */
static void look_after(struct netdev *n, uint64_t ns)
{
    uint64_t timeout = ns;
    struct poller p;

    poller_clear(&p);
    netdev_poll(n, &p, &timeout);
    poller_wait(&p, timeout < ns ? timeout : ns);
    netdev_service(n, &p);
}

static uint32_t sum_of(const uint8_t *p, size_t len, uint32_t sum)
{
    for (size_t i = 0; i < len; i++)
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    return sum;
}

static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)~sum;
}

/* IPv4 from 10.0.2.15 to 10.0.2.2, whose data of `len` bytes lie at frame + 34, with all checksums. */
static size_t make_ip(uint8_t *frame, unsigned protocol, size_t len)
{
    uint8_t *ip = frame + 14, *data = frame + 34;
    static const uint8_t from[4] = {10, 0, 2, 15}, to[4] = {10, 0, 2, 2};
    unsigned at = protocol == 6 ? 16 : protocol == 17 ? 6 : 2;
    uint32_t sum = protocol == 1 ? 0 : sum_of(from, 4, sum_of(to, 4, (uint32_t)(protocol + len)));

    memcpy(frame, its_mac, 6);
    memcpy(frame + 6, our_mac, 6);
    put_be16(frame + 12, 0x0800);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint32_t)(20 + len));
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    put_be16(ip + 10, folded(sum_of(ip, 20, 0)));
    if (len >= at + 2) {
        put_be16(data + at, 0);
        put_be16(data + at, folded(sum_of(data, len, sum)));
    }
    return 34 + len;
}

static size_t make_syn(uint8_t *frame, unsigned port)
{
    uint8_t *tcp = frame + 34;

    memset(tcp, 0, 20);
    put_be16(tcp, 4000);
    put_be16(tcp + 2, port);
    put_be32(tcp + 4, 1000);
    tcp[12] = 0x50;
    tcp[13] = 2;
    put_be16(tcp + 14, 8192);
    return make_ip(frame, 6, 20);
}

static size_t make_datagram(uint8_t *frame, unsigned port)
{
    uint8_t *udp = frame + 34;

    put_be16(udp, 4000);
    put_be16(udp + 2, port);
    put_be16(udp + 4, 12);
    memcpy(udp + 8, "ping", 4);
    return make_ip(frame, 17, 12);
}

static int host_socket(int type, unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0);
    ck_assert(type != SOCK_STREAM || listen(fd, 4) == 0);
    ck_assert(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* Does what the guest sends to the host come there? */
static bool gets_through(struct netdev *n, int type)
{
    uint8_t frame[64], got[16];
    bool through = false;
    unsigned port;
    int fd = host_socket(type, &port);
    size_t len = type == SOCK_STREAM ? make_syn(frame, port) : make_datagram(frame, port);

    netdev_send(n, frame, len, 0);
    for (unsigned i = 0; i < 40 && !through; i++) {
        look_after(n, 5 * MS);
        if (type == SOCK_STREAM) {
            int peer = accept(fd, NULL, NULL);

            through = peer >= 0;
            if (through)
                close(peer);
        } else {
            through = recv(fd, got, sizeof(got), 0) == 4;
        }
    }
    close(fd);
    return through;
}

START_TEST(what_the_guest_sends_to_the_host_gets_there)
{
    struct netdev *n = opened("user,id=n");

    ck_assert(gets_through(n, SOCK_STREAM));
    ck_assert(gets_through(n, SOCK_DGRAM));
    netdev_close(n);
}
END_TEST

START_TEST(restrict_lets_nothing_out)
{
    struct netdev *n = opened("user,id=n,restrict=on");

    ck_assert(!gets_through(n, SOCK_STREAM));
    ck_assert(!gets_through(n, SOCK_DGRAM));
    netdev_close(n);
}
END_TEST

/* ---- fragments ---- */

/* A datagram of `size` bytes, cut: each piece (offset, length, of the data with UDP's head) as a frame of its own. Does it come, whole? */
static bool fragments_get_through(struct netdev *n, unsigned size, const unsigned (*pieces)[2], unsigned count)
{
    static uint8_t frame[34 + 8000], cut[2048], got[8000];
    static uint16_t id;
    ssize_t len = -1;
    unsigned port;
    int fd = host_socket(SOCK_DGRAM, &port);

    put_be16(frame + 34, 4000);
    put_be16(frame + 36, port);
    put_be16(frame + 38, size + 8);
    for (unsigned i = 0; i < size; i++)
        frame[42 + i] = (uint8_t)(i / 7);
    make_ip(frame, 17, size + 8);
    id++;
    for (unsigned i = 0; i < count; i++) {
        bool last = pieces[i][0] + pieces[i][1] == size + 8;

        memcpy(cut, frame, 34);
        memcpy(cut + 34, frame + 34 + pieces[i][0], pieces[i][1]);
        put_be16(cut + 16, 20 + pieces[i][1]);
        put_be16(cut + 18, id);
        put_be16(cut + 20, pieces[i][0] / 8 | (last ? 0 : 0x2000u));
        put_be16(cut + 24, 0);
        put_be16(cut + 24, folded(sum_of(cut + 14, 20, 0)));
        netdev_send(n, cut, 34 + pieces[i][1], 0);
    }
    for (unsigned i = 0; i < 40 && len < 0; i++) {
        look_after(n, 5 * MS);
        len = recv(fd, got, sizeof(got), 0);
    }
    close(fd);
    ck_assert(len < 0 || ((unsigned)len == size && !memcmp(got, frame + 42, size)));
    return len >= 0;
}

START_TEST(datagrams_in_fragments_are_put_together)
{
    static const unsigned in_order[][2] = {{0, 1480}, {1480, 1480}, {2960, 48}};
    static const unsigned out_of_order[][2] = {{2960, 48}, {1480, 1480}, {0, 1480}};
    static const unsigned overlapping[][2] = {{0, 1480}, {1472, 1488}, {2960, 48}};
    static const unsigned twice[][2] = {{0, 1480}, {0, 1480}, {1480, 1480}, {2960, 48}};
    static const unsigned missing[][2] = {{0, 1480}, {2960, 48}};
    static const unsigned crooked[][2] = {{0, 1476}, {1480, 1480}, {2960, 48}};
    struct netdev *n = opened("user,id=n");

    ck_assert(fragments_get_through(n, 3000, in_order, 3));
    ck_assert(fragments_get_through(n, 3000, out_of_order, 3));
    ck_assert(!fragments_get_through(n, 3000, overlapping, 3));
    ck_assert(!fragments_get_through(n, 3000, twice, 4));
    ck_assert(!fragments_get_through(n, 3000, missing, 2));
    ck_assert(!fragments_get_through(n, 3000, crooked, 3));
    ck_assert(fragments_get_through(n, 3000, in_order, 3));
    netdev_close(n);
}
END_TEST

/* ---- forwarding ---- */

START_TEST(rules_that_cannot_be_are_refused)
{
    static const char *const rules[] = {
        "hostfwd=", "hostfwd=tcp", "hostfwd=tcp::80", "hostfwd=tcp::80-:", "hostfwd=tcp::99999-:22", "hostfwd=tcp::80-:99999",
        "hostfwd=sctp::80-:22", "hostfwd=tcp:300.1.1.1:80-:22", "hostfwd=tcp::-:22-", "hostfwd=tcp::80-:0", "hostfwd=tcp::1-1.2.3:4",
        "guestfwd=", "guestfwd=tcp:10.0.2.100:80", "guestfwd=tcp:10.0.2.100:80-cmd:cat", "guestfwd=tcp:10.0.2.100:0-tcp:127.0.0.1:80",
        "guestfwd=udp:10.0.2.100:80-tcp:127.0.0.1:80", "guestfwd=tcp:10.9.9.9:80-tcp:127.0.0.1:80", "guestfwd=tcp:10.0.2.100:80-tcp:",
        "net=1.2.3.4/40", "net=x", "host=10.0.2", "dns=1", "restrict=maybe", "ipv6=x", "hostfwds=tcp::80-:22",
    };

    for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
        struct error err = {0};
        char text[120], *note, id[32];

        snprintf(text, sizeof(text), "user,id=n,%s", rules[i]);
        if (netdev_check(text, id, sizeof(id), &err) == 0)
            ck_assert_msg(netdev_open(text, 0, &note, &err) == NULL, "%s was taken", rules[i]);
        ck_assert_msg(err.code < 0 && (strstr(err.text, "user") || strstr(err.text, "--netdev")), "%s: %s", rules[i], err.text);
    }
}
END_TEST

START_TEST(a_port_that_is_taken_is_named)
{
    struct error err = {0};
    char text[80], *note;
    unsigned port;
    int fd = host_socket(SOCK_STREAM, &port);

    snprintf(text, sizeof(text), "user,id=n,hostfwd=tcp::%u-:22", port);
    ck_assert(netdev_open(text, 0, &note, &err) == NULL);
    ck_assert_msg(strstr(err.text, "cannot listen") != NULL, "%s", err.text);
    close(fd);
}
END_TEST

/* ---- garbage ---- */

static uint32_t random32(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 32);
}

/* A frame that is a little wrong, or altogether. Addresses stay within this network: nothing is to leave the machine. */
static size_t make_garbage(uint8_t *frame, uint64_t *seed)
{
    static const uint16_t types[] = {0x0800, 0x0806, 0x86dd, 0x8100, 0x88b5};
    static const uint16_t ports[] = {67, 68, 69, 53, 1, 7};
    size_t len = random32(seed) % 8 ? random32(seed) % 120 : random32(seed) % 1600;
    unsigned kind = random32(seed) % 8;

    for (size_t i = 0; i < len + 40; i++)
        frame[34 + i] = (uint8_t)random32(seed);
    if (kind < 5) {
        put_be16(frame + 36, ports[random32(seed) % ARRAY_LEN(ports)]);
        put_be16(frame + 38, random32(seed) % 3 ? len : random32(seed));
        if (kind == 1 && random32(seed) & 1)
            frame[34 + 12] = (uint8_t)((5 + random32(seed) % 3) << 4);
        len = make_ip(frame, kind == 0 ? 17 : kind == 1 ? 6 : kind == 2 ? 1 : kind == 3 ? 17 : random32(seed) & 255, len);
        if (random32(seed) & 1)
            frame[33] = (uint8_t)(random32(seed) % 4 ? 77 : 255); /* (else 10.0.2.2; never .3, whose questions go to a real server) */
        if (random32(seed) % 4 == 0) {
            unsigned at = random32(seed) % 12; /* of IP's head before the addresses */

            frame[14 + at] = (uint8_t)random32(seed);
        }
        put_be16(frame + 24, 0);
        put_be16(frame + 24, folded(sum_of(frame + 14, 20, 0)));
    } else {
        memcpy(frame, random32(seed) & 1 ? its_mac : (const uint8_t[6]){255, 255, 255, 255, 255, 255}, 6);
        memcpy(frame + 6, our_mac, 6);
        put_be16(frame + 12, types[1 + random32(seed) % 4]);
        for (size_t i = 14; i < 34; i++)
            frame[i] = (uint8_t)random32(seed);
        if (get_be16(frame + 12) == 0x0806) {
            put_be32(frame + 14, 0x00010800);
            put_be16(frame + 18, 0x0604);
            put_be16(frame + 20, 1 + random32(seed) % 3);
        } else if (get_be16(frame + 12) == 0x86dd) {
            frame[14] = 0x60;
            frame[20] = (uint8_t)(random32(seed) & 1 ? 58 : random32(seed) & 1 ? 17 : 6);
            memset(frame + 38, 0, 16);
            put_be16(frame + 38, 0xfec0); /* the host there */
            frame[53] = 2;
        }
        len += 14;
    }
    return random32(seed) % 16 ? len : random32(seed) % (len + 1);
}

START_TEST(no_frame_does_it_harm)
{
    const char *text = getenv("HINDCAST_FUZZ_SEEDS");
    unsigned seeds = text ? (unsigned)atoi(text) : 6;
    static const char *const networks[] = {"user,id=n", "user,id=n,restrict=on", "user,id=n,ipv6=off,tftp=/,bootfile=x"};
    uint8_t frame[2048], got[NETDEV_FRAME_MOST];

    for (unsigned i = 0; i < seeds; i++) {
        struct netdev *n = opened(networks[i % ARRAY_LEN(networks)]);
        struct netdev_stats stats;
        uint64_t seed = i;

        for (unsigned k = 0; k < 3000; k++) {
            netdev_send(n, frame, make_garbage(frame, &seed), 0);
            if (k % 16 == 0)
                look_after(n, 0);
            while (netdev_receive(n, got, sizeof(got), NULL))
                ;
        }
        netdev_stats(n, &stats);
        ck_assert_uint_eq(stats.sent, 3000);
        netdev_close(n);
    }
}
END_TEST
#endif

START_TEST(a_network_has_a_kind)
{
    struct error err = {0};
    char *note;

    ck_assert(netdev_open("nobody,id=n", 0, &note, &err) == NULL);
    ck_assert_msg(strstr(err.text, "back ends are user, socket") != NULL, "%s", err.text);
    netdev_close(opened("socket,id=n,listen=127.0.0.1:0"));
}
END_TEST

Suite *test_suite(void)
{
    Suite *s = suite_create("net_user");
    TCase *t = tcase_create("net_user");

    tcase_set_timeout(t, 300);
    tcase_add_test(t, a_network_has_a_kind);
#ifdef HAVE_SLIRP
    tcase_add_test(t, what_the_guest_sends_to_the_host_gets_there);
    tcase_add_test(t, restrict_lets_nothing_out);
    tcase_add_test(t, datagrams_in_fragments_are_put_together);
    tcase_add_test(t, rules_that_cannot_be_are_refused);
    tcase_add_test(t, a_port_that_is_taken_is_named);
    tcase_add_test(t, no_frame_does_it_harm);
#endif
    suite_add_tcase(s, t);
    return s;
}

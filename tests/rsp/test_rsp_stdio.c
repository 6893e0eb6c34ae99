/*
 * Serves the target of test_rsp_fake.h on standard input and output, for
 * `target remote | test_rsp_stdio`: what a real gdb makes of the protocol layer
 * (test_rsp_gdb.sh). With an argument, the past is read-only.
 */
#include <unistd.h>

#include "test_rsp_fake.h"

static bool send_output(struct rsp_session *s)
{
    struct buffer *out = rsp_output(s);

    while (out->len) {
        ssize_t n = write(STDOUT_FILENO, out->data, out->len);

        if (n <= 0)
            return false;
        buffer_consume(out, (size_t)n);
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct fake f;
    static uint8_t bytes[65536];
    ssize_t n;

    (void)argv;
    fake_init(&f);
    f.past_readonly = argc > 1;
    while (!rsp_ended(f.s) && (n = read(STDIN_FILENO, bytes, sizeof(bytes))) > 0) {
        rsp_feed(f.s, bytes, (size_t)n);
        fake_serve(&f);
        if (!send_output(f.s))
            break;
    }
    fake_finish(&f);
    return 0;
}

"""Serial ports beyond the first, what they can be connected to, and what a guest is told of time and chance."""
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time

import harness
from harness import HINDCAST, SOURCE, Server, build_c_guest, check, contains, equal, lacks, patience, shown_in, until

# It answers at each serial port: "t": the clock's date; "r": a random number of the CPU's; "e" enables the port's interrupt;
# "p": which interrupts are requested, "w": the same once there is something at the third port; all else comes back behind the
# number of its port.
GUEST = r"""
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
static void out8(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static u8 in8(u16 port) { u8 v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static void out32(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static u32 in32(u16 port) { u32 v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static u32 config(u32 slot, u32 at) { out32(0xcf8, 0x80000000u | slot << 11 | at); return in32(0xcfc); }

static u16 ports[8] = {0x3f8, 0x2f8, 0x3e8, 0x2e8, 0x1e8};
static void put(u16 port, char c) { while (!(in8(port + 5) & 0x20)) continue; out8(port, c); }
static void hex(u16 port, u32 v, int digits) { while (digits--) put(port, "0123456789abcdef"[v >> 4 * digits & 15]); }
static u8 cmos(u8 at) { out8(0x70, at); return in8(0x71); }

static void tell_time(u16 port)
{
    static const u8 fields[] = {0x32, 9, 8, 7, 4, 2, 0};
    while (cmos(10) & 0x80) continue;
    for (u32 i = 0; i < sizeof fields; i++) hex(port, cmos(fields[i]), 2);
    put(port, '\n');
}

static void tell_random(u16 port)
{
    u32 v;
    __asm__ volatile("rdrand %0" : "=r"(v));
    hex(port, v, 8);
    put(port, '\n');
}

/* Which interrupts are pending at the PIC, with all of them masked. */
static void tell_irqs(u16 port)
{
    out8(0x20, 0x0a);
    hex(port, in8(0x20), 2);
    put(port, '\n');
}

int main(void)
{
    int n = 5;
    out8(0x21, 0xff), out8(0xa1, 0xff);
    for (u32 slot = 0; slot < 32; slot++)
        if (config(slot, 0) == 0x00021b36) ports[n++] = config(slot, 0x10) & ~7u;
    for (int i = 0; i < n; i++)
        if (in8(ports[i] + 5) != 0xff) { put(ports[i], '0' + i); put(ports[i], '!'); put(ports[i], '\n'); }
    for (;;)
        for (int i = 0; i < n; i++) {
            u16 p = ports[i];
            u8 c;
            if (in8(p + 5) == 0xff || !(in8(p + 5) & 1)) continue;
            c = in8(p);
            if (c == 't') tell_time(p);
            else if (c == 'r') tell_random(p);
            else if (c == 'p') tell_irqs(p); /* what was requested and is not any more is not shown */
            else if (c == 'e') out8(p + 1, 1), put(p, 'E');
            else if (c == 'w') { put(p, 'W'); while (!(in8(ports[2] + 5) & 1)) continue; tell_irqs(p); }
            else { put(p, '0' + i); put(p, c); }
        }
}
"""
built = []


def guest():
    if not built:
        built.append(build_c_guest(GUEST, "ports")[1])
    return built[0]


class Peer:
    """The host's end of a port."""

    def __init__(self, where):
        host, port = where.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=patience(20))
        self.seen = b""

    def expect(self, pattern):
        while not re.search(pattern, self.seen):
            piece = self.socket.recv(1000)
            check(piece, "the peer closed; so far: %r" % self.seen)
            self.seen += piece
        match = re.search(pattern, self.seen)
        self.seen = self.seen[match.end():]
        return match

    def say(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()


def listening(name, *more):
    return ("--chardev", "socket,id=%s,host=127.0.0.1,port=0,server=on,wait=off%s" % (name, "".join(more)))


def peer(server, name):
    return Peer(server.wait_errors(name + r" listens on (\S+)").group(1))


def claim_four_com_ports_one_at_an_address_of_choice_and_two_on_pci_are_six_lines():
    names = ["a", "b", "c", "d", "e", "f", "g"]
    arguments = [word for name in names for word in listening(name)]
    for name in names[1:4]:
        arguments += ["--serial", "chardev:" + name]
    arguments += ["--device", "isa-serial,chardev=e,iobase=0x1e8,irq=5", "--device", "pci-serial,chardev=f",
                  "--device", "pci-serial,chardev=g,id=last"]
    with Server(*arguments, guest=guest(), serial="chardev:a") as s:
        rsp = s.client()
        peers = [peer(s, name) for name in names]
        rsp.send("c")
        for n, p in enumerate(peers):
            p.expect(b"%d!" % n)
            p.say(b"x")
        for n, p in enumerate(peers):
            p.expect(b"%dx" % n)
        rsp.interrupt()
        rsp.wait()
        contains(rsp.monitor("info pci"), r"1b36:0002")
        text = rsp.monitor("info chardev")
        contains(text, r"a: tcp:127.0.0.1:0,server,nowait, connected, listening\n    uart0 \(gets what is typed\), semi|uart0 \(gets")
        contains(text, r"    last \(gets what is typed\)")
        there, state = rsp.position(), rsp.monitor("info hash")
        rsp.monitor("seek 1000")
        rsp.ask("c")
        rsp.monitor("seek %d" % there)
        rsp.ask("c")
        equal((rsp.position(), rsp.monitor("info hash")), (there, state))
        rsp.close()


def claim_ports_that_share_a_line_assert_it_together():
    arguments = listening("a") + listening("c") + ("--serial", "none", "--serial", "chardev:c")
    with Server(*arguments, guest=guest(), serial="chardev:a") as s:
        rsp = s.client()
        a, c = peer(s, "a"), peer(s, "c")
        rsp.send("c")
        a.expect(b"0!"), c.expect(b"2!")
        for p in a, c:
            p.say(b"e")
            p.expect(b"E")
        a.say(b"w")  # reading this takes one cause away, the other comes and stays
        a.expect(b"W")
        c.say(b"x")
        equal(int(a.expect(b"([0-9a-f]{2})\n").group(1), 16), 0x10)
        c.expect(b"2x")
        a.say(b"p")
        equal(int(a.expect(b"([0-9a-f]{2})\n").group(1), 16) & 0x10, 0)
        rsp.interrupt()
        rsp.wait()
        rsp.close()


def claim_one_back_end_serves_several_ports_and_ctrl_a_c_turns_to_the_next():
    with Server(*listening("m", ",mux=on"), "--serial", "chardev:m", "--serial", "none", "--device", "pci-serial,chardev=m",
                guest=guest(), serial="chardev:m") as s:
        rsp = s.client()
        p = peer(s, "m")
        rsp.send("c")
        p.expect(b"0!\n"), p.expect(b"1!\n"), p.expect(b"5!\n")
        for n in 0, 1, 5, 0:
            p.say(b"x")
            p.expect(b"^%dx" % n)
            p.say(b"\x01c")
        p.say(b"\x01\x01")
        p.expect(b"^1\x01")
        rsp.interrupt()
        rsp.wait()
        rsp.close()


def claim_a_ring_buffer_holds_the_last_output_and_takes_input():
    with Server("--chardev", "ringbuf,id=r,size=8", guest=guest(), serial="chardev:r") as s:
        rsp = s.client()
        contains(rsp.monitor("ringbuf_write r abcdfghi"), "")
        rsp.monitor("seek 300000")
        rsp.ask("c")
        equal(rsp.monitor("ringbuf_read r 3"), "0f0")
        contains(rsp.monitor("info chardev"), r"r: ringbuf:8, 5 bytes")
        equal(rsp.monitor("ringbuf_read r 100"), "g0h0i")
        rsp.close()


def claim_a_telnet_client_is_greeted_and_its_commands_are_not_the_guests():
    with Server("--serial", "none", guest=guest(), serial="telnet:127.0.0.1:0,server,nowait") as s:
        rsp = s.client()
        p = peer(s, "serial0")
        rsp.send("c")
        p.expect(b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00")
        p.say(b"\xff\xfd\x01a\xff\xfa\x18\x00xx\xff\xf0b\xff\xff")
        p.expect(b"0a0b0\xff\xff")
        p.say(b"c\xff\xf3d\xff\xf3") # with breaks, each a character of zeros where it was
        p.expect(b"0c0\x000d0\x00")
        rsp.interrupt()
        rsp.wait()
        rsp.close()


def claim_the_monitor_sends_breaks():
    with Server(*listening("m"), guest=guest(), serial="chardev:m") as s:
        rsp = s.client()
        p = peer(s, "m")
        rsp.send("c")
        p.expect(b"0!\n")
        for words in "", " m", " uart0":
            rsp.interrupt()
            rsp.wait()
            rsp.monitor("chardev-send-break" + words)
            rsp.send("c")
            p.expect(b"^0\x00")
        rsp.interrupt()
        rsp.wait()
        for word in "pit", "uart1":
            try:
                said = rsp.monitor("chardev-send-break " + word)
            except harness.rspclient.RspError as e:
                said = str(e)
            contains(said, word + ": no serial port is that")
        edge, there = rsp.position(), rsp.monitor("info hash")
        rsp.monitor("seek 1000")
        rsp.ask("c")
        rsp.monitor("seek %d" % edge)
        rsp.ask("c")
        equal(rsp.monitor("info hash"), there)
        rsp.close()


def claim_a_client_that_does_not_read_does_not_stall_the_guest():
    """It puts out a megabyte, more than the host takes on the way, and ends."""
    body = "movw $0x3f8, %dx\nmovl $0x100000, %ecx\n1: movb %cl, %al\noutb %al, %dx\ndecl %ecx\njnz 1b\nmovw $0xf4, %dx\nmovb $3, %al\noutb %al, %dx"
    with tempfile.TemporaryDirectory() as d, Server(guest=harness.build_guest(body, "talker"), serial="unix:%s/s,server,nowait" % d) as s, \
            socket.socket(socket.AF_UNIX) as c:
        c.connect(d + "/s")
        rsp = s.client()
        until(lambda: "not connected" not in rsp.monitor("info chardev"), "it is connected")
        rsp.ask("c")  # to its end
        contains(rsp.monitor("info status"), "ended itself")
        contains(rsp.monitor("info chardev"), r"connected, listening, \d{6,7} bytes wait to be taken")
        c.settimeout(patience(20))
        got = b""
        while len(got) < 0x100000:
            got += c.recv(65536)
        equal(got, bytes(n & 255 for n in range(0x100000, 0, -1)), "and none of it is lost")
        rsp.close()


def claim_a_client_tries_again_until_somebody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Server("--chardev", "socket,id=c,host=127.0.0.1,port=%d,reconnect=1" % port, guest=guest(), serial="chardev:c") as s:
        rsp = s.client()
        rsp.send("c")
        for _ in range(2):
            with socket.socket() as there:
                there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                there.bind(("127.0.0.1", port))
                there.listen(1)
                there.settimeout(patience(20))
                c, _ = there.accept()
                with c:
                    c.settimeout(patience(20))
                    c.sendall(b"x")
                    text = b""
                    while b"0x" not in text:
                        text += c.recv(100)
        rsp.interrupt()
        rsp.wait()
        rsp.close()


def claim_files_are_written_on_and_read_from_when_asked():
    with tempfile.TemporaryDirectory() as d:
        out, log, source = (os.path.join(d, name) for name in ("out", "log", "in"))
        for path in out, log:
            with open(path, "w") as f:
                f.write("before\n")
        with open(source, "w") as f:
            f.write("yz")
        with Server("--run", "--chardev", "file,id=f,path=%s,append=on,input-path=%s,logfile=%s,logappend=on" % (out, source, log),
                    guest=guest(), serial="chardev:f"):
            for path in out, log:
                until(lambda: shown_in(path, rb"before\n0!\n0y0z"), "output behind what was there")


def clock_of(*arguments, wait=0.0):
    """What the guest reads twice off its clock."""
    with Server(*arguments, *listening("a"), guest=guest(), serial="chardev:a") as s:
        rsp = s.client()
        p = peer(s, "a")
        rsp.send("c")
        seen = []
        for _ in range(2):
            p.say(b"t")
            seen.append(p.expect(b"([0-9a-f]{14})\n").group(1).decode())
            time.sleep(wait)
        rsp.interrupt()
        rsp.wait()
        rsp.close()
        return seen


def claim_the_clock_begins_where_rtc_says():
    first, second = clock_of("--rtc", "base=2006-06-17T16:01:21")
    check("20060617160121" <= first <= second <= "20060617170000", first + " " + second)
    first, _ = clock_of("--rtc", "base=1999-12-31,clock=vm")
    check(first.startswith("1999123100"), first)
    stamp = lambda seconds: time.strftime("%Y%m%d%H%M%S", time.gmtime(seconds))
    before = time.time()
    first, _ = clock_of("--rtc", "base=utc")
    check(stamp(before - 1) <= first <= stamp(time.time() + 1), first)
    os.environ["TZ"] = "XXX-5"
    try:
        before = time.time() + 5 * 3600
        first, _ = clock_of("--rtc", "base=localtime")
        check(stamp(before - 1) <= first <= stamp(time.time() + 5 * 3600 + 1), first)
    finally:
        del os.environ["TZ"]


def claim_a_clock_that_follows_the_host_s_is_recorded():
    with tempfile.TemporaryDirectory() as d:
        record = os.path.join(d, "r.hcrec")
        first, second = clock_of("--rtc", "base=2006-06-17T16:01:21,clock=host", "--record", record, "--icount", "shift=0",
                                 wait=2.1)
        check(int(second) - int(first) in range(2, 100), first + " " + second)
        result = subprocess.run([HINDCAST, "verify", record], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=patience(60))
        equal(result.returncode, 0, result.stdout)


def random_of(*arguments):
    with Server(*arguments, *listening("a"), "--cpu", "max", guest=guest(), serial="chardev:a") as s:
        rsp = s.client()
        p = peer(s, "a")
        p.say(b"rr")
        rsp.send("c")
        seen = [p.expect(b"([0-9a-f]{8})\n").group(1) for _ in range(2)]
        rsp.interrupt()
        rsp.wait()
        rsp.close()
        return seen


def claim_a_seed_makes_chance_repeatable():
    one = random_of("--seed", "1")
    check(one[0] != one[1])
    check(random_of("--seed", "2") != one)
    check(random_of() != random_of())


def refused(pattern, *arguments):
    result = subprocess.run([HINDCAST, "--listen", "127.0.0.1:0", *arguments, guest()], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience(20))
    text = result.stdout.decode("utf-8", "replace")
    equal(result.returncode, 1, text)
    contains(text, pattern)


def claim_what_cannot_be_connected_is_refused_by_name():
    refused(r"there are 4 serial ports|has 4 serial ports", *("--serial", "none") * 5)
    refused(r"needs chardev=ID", "--device", "pci-serial")
    refused(r"there is no --chardev with id=x", "--device", "pci-serial,chardev=x")
    refused(r"another port is connected to --chardev x \(mux=on", "--chardev", "null,id=x", "--serial", "chardev:x", "--device",
            "pci-serial,chardev=x")
    refused(r"answers at port 0x3f8", "--chardev", "null,id=x", "--device", "isa-serial,chardev=x,iobase=0x3f8")
    refused(r"a power of two", "--chardev", "ringbuf,id=x,size=3", "--serial", "chardev:x")
    refused(r"logappend=on is of a logfile", "--chardev", "null,id=x,logappend=on", "--serial", "chardev:x")
    refused(r"only one of --gdb, --serial and --chardev", "--chardev", "stdio,id=x", "--serial", "chardev:x", "--serial", "stdio")
    refused(r"leave reconnect= or server out", "--serial", "tcp:127.0.0.1:0,server,nowait,reconnect=1")
    for date in "yesterday", "2006-13-01", "2006-02-30", "2006-06-17T25:00:00", "2006-06-17x":
        refused(r"--rtc base=%s: write utc, localtime, or a date" % re.escape(date), "--rtc", "base=" + date)
    refused(r"--rtc clock=atomic", "--rtc", "clock=atomic")
    refused(r"--seed x: write a number", "--seed", "x")
    refused(r"--object iothread: there are rng-random, rng-builtin and filter-dump", "--object", "iothread,id=t")
    refused(r"id=ID is missing", "--object", "rng-random,filename=/dev/urandom")


if __name__ == "__main__":
    harness.main(sys.modules[__name__])

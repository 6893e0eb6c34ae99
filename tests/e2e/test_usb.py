#!/usr/bin/env python3
"""USB from outside: what the options say, what the monitor shows, keys and pointers as recorded input."""
import os
import sys
import tempfile

import harness
from harness import Server, build_c_guest, contains, equal, lacks
from rspclient import RspError
from test_cli import refused, run
from test_ports import listening, peer

# A driver of what is in port 1 of the PIIX3's UHCI controller.
GUEST = r"""
static void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static void out16(unsigned short p, unsigned short v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(p)); }
static void out32(unsigned short p, unsigned v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(p)); }
static unsigned in32(unsigned short p) { unsigned v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }

static unsigned frames[1024] __attribute__((aligned(4096)));
static volatile struct { unsigned link, element; } queue __attribute__((aligned(16)));
static volatile struct { unsigned link, control, token, buffer; } td[4] __attribute__((aligned(16)));
static unsigned char setup[8], report[8];

static void put(unsigned c) { out8(0x3f8, c); }

static void put_hex(unsigned v)
{
    put("0123456789abcdef"[v >> 4 & 15]);
    put("0123456789abcdef"[v & 15]);
    put(10);
}

static void fill(unsigned n, unsigned pid, unsigned address, unsigned ep, unsigned toggle, unsigned len, void *buffer, int last)
{
    td[n].link = last ? 1 : (unsigned)&td[n + 1] | 4;
    td[n].control = 1u << 23 | 3u << 27;
    td[n].token = pid | address << 8 | ep << 15 | toggle << 19 | ((len - 1) & 0x7ff) << 21;
    td[n].buffer = (unsigned)buffer;
}

static void go(unsigned n)
{
    queue.element = (unsigned)&td[0];
    while (td[n - 1].control & 1u << 23)
        ;
    if (td[n - 1].control & 1u << 22)
        put('!');
}

static void request(unsigned address, unsigned number, unsigned value)
{
    setup[1] = number;
    setup[2] = value;
    fill(0, 0x2d, address, 0, 0, 8, setup, 0);
    fill(1, 0x69, address, 0, 1, 0, 0, 1);
    go(2);
}

static void start(void)
{
    unsigned io;

    out32(0xcf8, 0x80000a20);
    io = in32(0xcfc) & ~3u;
    out32(0xcf8, 0x80000a04);
    out32(0xcfc, 5);
    for (unsigned i = 0; i < 1024; i++)
        frames[i] = (unsigned)&queue | 2;
    queue.link = queue.element = 1;
    out32(io + 8, (unsigned)frames);
    out16(io + 0x10, 0x200);
    out16(io + 0x10, 0);
    out16(io + 0x10, 0x0e);
    out16(io, 1);
    request(0, 5, 7);
    request(7, 9, 1);
}
"""
# Of a keyboard: it writes the codes of keys that go down to the serial port.
KEYS = r"""
int main(void)
{
    unsigned toggle = 0;

    start();
    put('k');
    put(10);
    for (;;) {
        fill(0, 0x69, 7, 1, toggle, 8, report, 1);
        go(1);
        toggle ^= 1;
        put_hex(report[2]);
        if (report[2] == 0x29)
            out8(0xf4, 0);
    }
}
"""
# A driver of a usb-serial in its place: what comes goes back in capitals, until a q.
ECHO = r"""
static unsigned char in[64], out[64];

int main(void)
{
    unsigned toggle = 0, out_toggle = 0;

    start();
    for (;;) {
        unsigned n, all = 0;

        fill(0, 0x69, 7, 1, toggle, 64, in, 1);
        go(1);
        toggle ^= 1;
        n = (td[0].control + 1) & 0x7ff;
        if (in[0] != 0xb1 || in[1] != 0x60 || n < 2)
            put('?');
        if (n == 2)
            continue;
        for (unsigned i = 2; i < n; i++) {
            out[i - 2] = in[i] & ~0x20;
            all |= in[i] == 'q';
        }
        fill(0, 0xe1, 7, 2, out_toggle, n - 2, out, 1);
        go(1);
        out_toggle ^= 1;
        if (all)
            out8(0xf4, 0);
    }
}
"""
# The same by EHCI: what is in port 1, by one queue of the asynchronous schedule.
EHCI = GUEST[:GUEST.index("static unsigned frames")] + r"""
static volatile struct { unsigned link, chars, caps, now, next, alternate, token, buffer[5], rest[4]; } head __attribute__((aligned(64)));
static volatile struct { unsigned next, alternate, token, buffer[5]; } qtd[2] __attribute__((aligned(32)));
static unsigned char setup[8], report[8];
static volatile unsigned *regs;

static void put(unsigned c) { out8(0x3f8, c); }

static void put_hex(unsigned v)
{
    put("0123456789abcdef"[v >> 4 & 15]);
    put("0123456789abcdef"[v & 15]);
    put(10);
}

static void fill(unsigned n, unsigned pid, unsigned toggle, unsigned len, void *buffer)
{
    qtd[n].next = n ? 1 : (unsigned)&qtd[1];
    qtd[n].alternate = 1;
    qtd[n].token = toggle << 31 | len << 16 | 3 << 10 | pid << 8 | 0x80;
    qtd[n].buffer[0] = (unsigned)buffer;
}

static void go(unsigned n, unsigned address, unsigned endpoint, unsigned packet)
{
    head.token = 0x40;
    head.chars = packet << 16 | 1 << 15 | 1 << 14 | 2 << 12 | endpoint << 8 | address;
    head.caps = 1 << 30;
    head.next = (unsigned)&qtd[n];
    head.alternate = 1;
    head.token = 0;
    while (qtd[1].token & 0x80)
        ;
    if (qtd[1].token & 0x40)
        put('!');
}

static void request(unsigned address, unsigned number, unsigned value)
{
    setup[1] = number;
    setup[2] = value;
    fill(0, 2, 0, 8, setup);
    fill(1, 1, 1, 0, 0);
    go(0, address, 0, 64);
}

int main(void)
{
    unsigned toggle = 0;

    out32(0xcf8, 0x80002010);
    regs = (volatile unsigned *)(in32(0xcfc) & ~15u);
    out32(0xcf8, 0x80002004);
    out32(0xcfc, 6);
    head.link = (unsigned)&head | 2;
    head.token = 0x40;
    regs[0x38 / 4] = (unsigned)&head;
    regs[0x20 / 4] = 0x10021;
    regs[0x60 / 4] = 1;
    regs[0x64 / 4] = 0x1100;
    regs[0x64 / 4] = 0x1000;
    request(0, 5, 7);
    request(7, 9, 1);
    put('k');
    put(10);
    for (;;) {
        fill(1, 1, toggle, 8, report);
        go(1, 7, 1, 8);
        toggle ^= 1;
        put_hex(report[2]);
        if (report[2] == 0x29)
            out8(0xf4, 0);
    }
}
"""
KERNEL = build_c_guest(GUEST + KEYS, "usb")[1]
BY_EHCI = build_c_guest(EHCI, "usb-ehci")[1]
SERIAL = build_c_guest(GUEST + ECHO, "usb-serial")[1]
FEW = ("--icount", "shift=4,sleep=off")


def keys_come_and_are_recorded(guest, options, told):
    with tempfile.TemporaryDirectory() as tmp:
        name = os.path.join(tmp, "r.hcrec")
        with Server(*FEW, *options, "--device", "usb-kbd", "--record", name, guest=guest, serial="stdio") as s:
            rsp = s.client()
            rsp.monitor("replay_break 3000000")
            rsp.ask("c")
            s.wait_output(rb"k\n")
            contains(rsp.monitor("info usb"), told)
            rsp.monitor("sendkey a 20")
            rsp.monitor("sendkey esc 20")
            rsp.ask("c")
            s.wait_output(rb"k\n04\n00\n29\n")
            edge, hash_there = rsp.position(), rsp.monitor("info hash")
            rsp.monitor("replay_delete_break 3000000")
            rsp.ask("bc")
            contains(rsp.monitor("info usb"), r"Device 0\.0, Port 1")
            rsp.monitor("seek %d" % edge)
            rsp.ask("c")
            equal(rsp.monitor("info hash"), hash_there)
            rsp.monitor("quit")
        equal(run("verify", name)[0], 0)


def claim_keys_come_by_usb_and_are_recorded():
    keys_come_and_are_recorded(KERNEL, ["--usb"], r"(?s)bus 0: piix3-usb-uhci0 .*running.*Device 0\.7, Port 1, Speed 12 Mb/s, "
                               r"Product USB Keyboard, ID: usb-kbd0, configured")


def claim_keys_come_by_ehci_and_are_recorded():
    keys_come_and_are_recorded(BY_EHCI, ["--device", "ich9-usb-ehci1,id=e,addr=4", "--device", "ich9-usb-uhci1,masterbus=e.0"],
                               r"(?s)bus 0: e \(ich9-usb-ehci1\), 6 ports, running, frame \d+\n  Device 0\.7, Port 1, Speed 480 Mb/s, "
                               r"Product USB Keyboard, ID: usb-kbd0, configured")


def claim_bytes_come_and_go_by_a_serial_port_on_usb_and_are_recorded():
    with tempfile.TemporaryDirectory() as tmp:
        name = os.path.join(tmp, "r.hcrec")
        with Server(*FEW, "--usb", *listening("u"), "--device", "usb-serial,chardev=u,always-plugged=on", "--record", name,
                    guest=SERIAL, serial="stdio") as s:
            rsp = s.client()
            p = peer(s, "u")
            rsp.send("c")
            p.say(b"hello")
            p.expect(b"HELLO")
            p.say(b"x" * 1000)
            p.expect(b"X{1000}")
            rsp.interrupt()
            rsp.wait()
            contains(rsp.monitor("info usb"), r"Device 0\.7, Port 1, Speed 12 Mb/s, Product USB Serial, ID: usb-serial0, configured")
            contains(rsp.monitor("info devices usb-serial0"), r"9600 baud, 8N1, dtr 0 rts 0, .*latency 16 ms")
            contains(rsp.monitor("info chardev"), r"    usb-serial0 \(gets what is typed\)")
            there, state = rsp.position(), rsp.monitor("info hash")
            rsp.ask("bc")
            rsp.monitor("seek %d" % there)
            rsp.ask("c")
            equal((rsp.position(), rsp.monitor("info hash")), (there, state))
            rsp.send("c")
            p.say(b"q")
            p.expect(b"Q")
            rsp.wait()
            lacks(s.output.decode("latin-1"), r"[?!]")
            rsp.monitor("quit")
        equal(run("verify", name)[0], 0)


def claim_the_keyboard_plugged_in_last_is_typed_at():
    with Server(*FEW, "--device", "piix3-usb-uhci", "--device", "usb-kbd,id=first", "--device", "usb-kbd,id=second", guest=KERNEL) as s:
        rsp = s.client()
        rsp.monitor("replay_break 1000")
        rsp.ask("c")
        rsp.monitor("sendkey a")
        rsp.monitor("replay_break 2000")
        rsp.ask("c")
        contains(rsp.monitor("info devices second"), r"configuration 0")
        try:
            raise harness.Failed("not refused: " + rsp.monitor("tablet_move 1 1"))
        except RspError as e:
            contains(str(e), r"no such pointer")


def claim_what_is_plugged_in_wrongly_is_refused():
    refused(r"there is no USB; --device qemu-xhci, before it", "--device", "usb-kbd", KERNEL)
    refused(r"bus=nowhere: there is no such USB bus", "--usb", "--device", "usb-kbd,bus=nowhere", KERNEL)
    refused(r"port=3: ports are 1 to 2", "--usb", "--device", "usb-kbd,port=3", KERNEL)
    refused(r"port=1: there is a device already", "--usb", "--device", "usb-kbd,port=1", "--device", "usb-mouse,port=1", KERNEL)
    refused(r"port=1.1: there is no hub", "--usb", "--device", "usb-kbd", "--device", "usb-mouse,port=1.1", KERNEL)
    refused(r"no port of the bus is free", "--usb", *3 * ("--device", "usb-kbd"), KERNEL)
    refused(r"it needs drive=ID", "--usb", "--device", "usb-storage", KERNEL)
    refused(r"needs chardev=ID", "--usb", "--device", "usb-serial", KERNEL)
    refused(r"always-plugged=off: it is plugged in", "--usb", "--chardev", "null,id=c", "--device",
            "usb-serial,chardev=c,always-plugged=off", KERNEL)
    refused(r"masterbus=e: there is no such EHCI controller", "--device", "ich9-usb-uhci1,masterbus=e", KERNEL)
    refused(r"firstport= is for the companion", "--device", "ich9-usb-uhci1,firstport=2", KERNEL)
    refused(r"firstport=0: that port has a companion", "--device", "usb-ehci,id=e", *2 * ("--device", "ich9-usb-uhci1,masterbus=e"), KERNEL)
    refused(r"it has no speed that this port has", "--device", "usb-ehci", "--chardev", "null,id=c", "--device",
            "usb-serial,chardev=c,port=1", KERNEL)
    refused(r"addr=1.2: there is a device already", "--usb", "--device", "piix3-usb-uhci,addr=1.2", KERNEL)
    refused(r"no room for another xHCI|no slot of the PCI bus is free|at most", *32 * ("--device", "qemu-xhci"), KERNEL)


def claim_help_lists_what_there_is_of_usb():
    status, text = run("--device", "help")
    equal(status, 0)
    for name in "piix3-usb-uhci", "usb-ehci", "ich9-usb-ehci1", "qemu-xhci", "usb-kbd", "usb-mouse", "usb-tablet", "usb-storage", "usb-serial", "usb-hub", "usb-host":
        contains(text, name)
    status, text = run("--device", "usb-serial,help")
    equal(status, 0, text)
    contains(text, r"^usb-serial: FTDI [^\n]*\(USB\)\n  id=ID\n")
    contains(text, r"\n  chardev=ID\n")
    refused(r"--device zork,help: there is no such device", "--device", "zork,help", KERNEL)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])

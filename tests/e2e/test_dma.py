#!/usr/bin/env python3
"""What a disk's controller does to memory, and what is done to a disk, is seen: by watchpoints in both directions, by
`last` and `last-disk`, by breakpoints on code that came from the disk."""
import json
import os
import subprocess
import sys
import tempfile

import harness
from harness import HINDCAST, Server, build_c_guest, check, contains, equal, gdb, symbol
from rspclient import RspError
from test_cli import run

# Calls code[] often, lets the disk overwrite it, by DMA, calls it again, writes it to another sector. Sector 5 and 6 have
# functions that return 2 and 3.
GUEST = r"""
static void out8(unsigned short p, unsigned char v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p)); }
static void out32(unsigned short p, unsigned v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(p)); }
static unsigned char in8(unsigned short p) { unsigned char v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static unsigned in32(unsigned short p) { unsigned v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p)); return v; }
static struct { unsigned at, count; } region __attribute__((aligned(8)));
unsigned char code[512] __attribute__((aligned(4096))) = {0xb8, 1, 0, 0, 0, 0xc3};
unsigned char other[512] __attribute__((aligned(4096)));

static void config(unsigned slot, unsigned reg, unsigned v)
{
    out32(0xcf8, 0x80000000u | slot << 8 | reg);
    out32(0xcfc, v);
}

void move(unsigned lba, void *at, int to_memory)
{
    region.at = (unsigned)at;
    region.count = 0x80000200u;
    out32(0xc004, (unsigned)&region);
    out8(0xc000, to_memory ? 8 : 0);
    out8(0xc002, 6);
    out8(0x1f6, 0xe0);
    out8(0x1f2, 1);
    out8(0x1f3, lba);
    out8(0x1f4, lba >> 8);
    out8(0x1f5, 0);
    out8(0x1f7, to_memory ? 0xc8 : 0xca);
    out8(0xc000, to_memory ? 9 : 1);
    while (in8(0xc002) & 1)
        ;
    out8(0xc000, 0);
    in8(0x1f7);
}

static unsigned call(void)
{
    unsigned sum = 0;

    for (int i = 0; i < CALLS; i++)
        sum = ((unsigned (*)(void))code)();
    return sum;
}

void main(void)
{
    unsigned slot = 0, sum;

    out8(0x3f6, 2);
    for (;; slot++) {
        out32(0xcf8, 0x80000000u | slot << 8 | 8);
        if (in32(0xcfc) >> 16 == 0x101)
            break;
    }
    config(slot, 0x20, 0xc000);
    config(slot, 4, 5);
    sum = call();
    move(5, code, 1);
    sum += 4 * call();
    move(6, code, 1);
    sum += 16 * call();
    move(700, code, 0);
    move(700, other, 1);
    out8(0xf4, sum);
    for (;;)
        __asm__ volatile("hlt");
}
"""
FEW, MANY = (build_c_guest(GUEST.replace("CALLS", calls), "overwrites")[1] for calls in ("3", "20000"))
CODE, OTHER = symbol(FEW, "code"), symbol(FEW, "other")
SUM = (1 + 4 * 2 + 16 * 3) << 1 | 1


class Disk:
    def __enter__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="hindcast-dma-")
        self.raw = os.path.join(self.dir.name, "disk.raw")
        sectors = [bytes(512)] * 2048
        for n, value in ((5, 2), (6, 3)):
            sectors[n] = bytes([0xb8, value, 0, 0, 0, 0xc3]).ljust(512, b"\0")
        with open(self.raw, "wb") as f:
            f.write(b"".join(sectors))
        return self

    def __exit__(self, *ignored):
        self.dir.cleanup()

    def server(self, guest=FEW):
        return Server("--drive", "file=%s,if=ide,id=d0" % self.raw, guest=guest)


def to_the_end(rsp):
    rsp.start()
    contains(rsp.ask("c"), r"^[ST]")
    return rsp.position()


def both_ways(rsp, end, pattern=""):
    """Positions where one stops on the way back from the end of history, in order, and on the way to it again."""
    back, forward = [], []
    rsp.monitor("seek %d" % end)
    rsp.ask("c")
    while True:
        rsp.console = ""
        reply = rsp.ask("bc")
        if "replaylog" in reply:
            break
        contains(reply + rsp.console, pattern)
        back.append(rsp.position())
    rsp.monitor("seek start")
    rsp.ask("c")
    while True:
        if not pattern:
            rsp.ask("s")  # from a breakpoint, as gdb does it
        rsp.console = ""
        reply = rsp.ask("c")
        text = reply + rsp.console
        if rsp.position() >= end:
            return back[::-1], forward
        contains(text, pattern)
        forward.append(rsp.position())


def claim_code_that_a_disk_read_overwrote_runs_as_it_is():
    with Disk() as d:
        for engine in "jit", "interpreter":
            for guest in FEW, MANY:
                got, text = run(guest, "--run", "--listen", "none", "--serial", "none", "-hda", d.raw, "--engine", engine)
                equal(got, SUM, text)


def claim_breakpoints_on_code_from_the_disk_hit_in_both_directions():
    with Disk() as d, d.server() as s:
        rsp = s.client()
        end = to_the_end(rsp)
        equal(rsp.ask("Z0,%x,1" % CODE), "OK")
        back, forward = both_ways(rsp, end)
        equal(back, forward, "the same stops in both directions")
        equal(len(forward), 9, "three calls of each of the three")
        values = []
        for position in forward:
            rsp.monitor("seek %d" % position)
            rsp.ask("c")
            values.append(rsp.memory(CODE + 1, 1)[0])
        equal(values, [1] * 3 + [2] * 3 + [3] * 3)


def claim_watchpoints_see_dma_writes_in_both_directions():
    with Disk() as d, d.server() as s:
        rsp = s.client()
        end = to_the_end(rsp)
        contains(rsp.monitor("last %#x 4" % CODE), r"last written by ide, position (\d+)")
        last = int(contains(rsp.console, r"ide, position (\d+)").group(1))
        equal(rsp.ask("Z2,%x,1" % (CODE + 1)), "OK")
        back, forward = both_ways(rsp, end, "watch:")
        equal(len(back), 2, "two reads of the disk")
        equal([p - 1 for p in forward], back, "before the access backwards, after it forwards")
        equal(back[-1], last)
        rsp.monitor("seek %d" % end)
        rsp.ask("c")
        contains(rsp.ask("bc"), r"watch:0*%x" % (CODE + 1))
        contains(rsp.console, r"the watched bytes at 0x%x are written by ide" % (CODE + 1))
        # Steps around it: before it the old code is there, after it the new.
        equal(rsp.memory(CODE + 1, 1)[0], 2)
        contains(rsp.ask("s"), r"watch:")
        equal(rsp.position(), last + 1)
        equal(rsp.memory(CODE + 1, 1)[0], 3)
        contains(rsp.ask("bs"), r"watch:")
        equal(rsp.position(), last)
        equal(rsp.memory(CODE + 1, 1)[0], 2)
        before = rsp.position()
        rsp.ask("bs")
        check(rsp.position() < before)


def claim_watchpoints_for_reading_see_dma_reads():
    with Disk() as d, d.server() as s:
        rsp = s.client()
        end = to_the_end(rsp)
        written = int(contains(rsp.monitor("last-disk d0 700"), r"last written by ide, position (\d+)").group(1))
        for packet, kind, count in (("Z3", "rwatch:", 1), ("Z4", "awatch:", 4)):
            equal(rsp.ask("%s,%x,1" % (packet, CODE + 300)), "OK")
            back, forward = both_ways(rsp, end, kind)
            equal([p - 1 for p in forward], back)
            equal(len(back), count - (packet == "Z4"), (packet, back))
            check(written in back)
            equal(rsp.ask("z%s,%x,1" % (packet[1], CODE + 300)), "OK")
        equal(rsp.ask("Z3,%x,1" % (CODE + 300)), "OK")
        rsp.monitor("seek %d" % end)
        rsp.ask("c")
        rsp.ask("bc")
        contains(rsp.console, r"the watched bytes at 0x%x are read by ide" % (CODE + 300))


def asked(rsp, query):
    return [json.loads(line) for line in rsp.monitor(query + " --json").splitlines()]


def claim_queries_tell_what_the_device_did_live_and_of_a_recording():
    with Disk() as d:
        with d.server() as s:
            rsp = s.client()
            end = to_the_end(rsp)
            equal(rsp.ask("Z2,%x,1" % (CODE + 1)), "OK")
            back, _ = both_ways(rsp, end, "watch:")
            equal(rsp.ask("z2,%x,1" % (CODE + 1)), "OK")
            live = asked(rsp, "writes phys:%#x 1" % (CODE + 1))
            equal([a["position"] for a in live[:-1]], back)
            equal([(a["by"], a["old"], a["new"]) for a in live[:-1]], [("ide", "0x1", "0x2"), ("ide", "0x2", "0x3")])
            both = asked(rsp, "accesses phys:%#x 1" % (CODE + 300))
            equal([a["kind"] for a in both[:-1]], ["write", "write", "read"])
            equal({a["by"] for a in both[:-1]}, {"ide"})
            equal(asked(rsp, "accesses phys:%#x 1 newest first threads 1" % (CODE + 300))[:-1], both[-2::-1])
        recording = os.path.join(d.dir.name, "r.hcrec")
        got, text = run(FEW, "--run", "--listen", "none", "--serial", "none", "--drive", "file=%s,if=ide,id=d0" % d.raw,
                        "--record", recording)
        equal(got, SUM, text)
        with Server("--replay", recording, guest=None) as s:
            rsp = s.client()
            equal(asked(rsp, "writes phys:%#x 1" % (CODE + 1))[:-1], live[:-1])
            equal(asked(rsp, "accesses phys:%#x 1" % (CODE + 300))[:-1], both[:-1])


def refused(rsp, command, pattern):
    try:
        raise harness.Failed("not refused: " + rsp.monitor(command))
    except RspError as e:
        contains(str(e), pattern)


def claim_sectors_are_watched_and_shown():
    with Disk() as d, d.server() as s:
        rsp = s.client()
        end = to_the_end(rsp)
        contains(rsp.monitor("disk d0 700"), r"sector 700\n0000  b8 03 00 00 00 c3 .*\n0010  00.*\n\*\n01f0  00")
        contains(rsp.monitor("last-disk d0 5"), r"sector 5 of drive d0 was not written since the beginning of history")
        contains(rsp.monitor("last-disk d0 690 20"), r"last written by ide, position (\d+)")
        written = int(contains(rsp.console, r"ide, position (\d+)").group(1))
        rsp.monitor("watch-disk d0 700")
        back, forward = both_ways(rsp, end, "sector 700 of drive d0 is written by ide")
        equal((back, [p - 1 for p in forward]), ([written], [written]))
        rsp.monitor("seek %d" % written)
        rsp.ask("c")
        contains(rsp.monitor("disk d0 700"), r"sector 700\n0000  00 .*\n\*\n01f0")
        rsp.monitor("unwatch-disk d0")
        rsp.monitor("watch-disk d0 4 2 read")
        rsp.monitor("watch-disk d0 3")
        equal(rsp.monitor("info watches"), "watch-disk d0 4 2 read\nwatch-disk d0 3 1\n")
        back, forward = both_ways(rsp, end, "sector 5 of drive d0 is read by ide")
        equal(len(back), 1)
        equal(back[0], forward[0] - 1)
        rsp.monitor("unwatch-disk")
        contains(rsp.ask("bc"), r"replaylog:begin")
        refused(rsp, "unwatch-disk d0", r"nothing is watched on drive 'd0'")
        refused(rsp, "watch-disk d1 0", r"no drive 'd1'")
        refused(rsp, "watch-disk d0 2048", r"drive d0 has sectors 0 to 2047")
        refused(rsp, "last-disk d0 2000 100", r"drive d0 has sectors 0 to 2047")
        refused(rsp, "watch-disk d0 1 1 all", r"'all'")
        refused(rsp, "disk d0 0 2000", r"more than 64 KiB")


def claim_looking_at_a_disk_leaves_no_trace_in_history():
    with Disk() as d, d.server() as s:
        rsp = s.client()
        to_the_end(rsp)
        before = rsp.monitor("info replay")
        rsp.monitor("disk d0 1900 100")
        equal(rsp.monitor("info replay"), before)


def claim_gdb_tells_the_devices_write():
    with Disk() as d, d.server() as s:
        out = gdb(s, ["continue", "watch *(char *)%d" % (OTHER + 1), "reverse-continue", "print other[1]", "monitor when",
                      "continue", "print other[1]"], FEW)
        contains(out, r"the watched bytes at 0x%x are written by ide" % (OTHER + 1))
        contains(out, r"(?s)\$1 = 0 .*\$2 = 3 ")


SEABIOS = "/usr/share/seabios/bios-256k.bin"
# Real-mode code: read the second sector to 8000h by INT 13h/2 and go there; the end.
LOADER = bytes.fromhex("31c0 8ec0 8ed8 b80102 bb0080 b90200 b600 cd13 ea00800000")
LOADED = bytes.fromhex("b80200 e6f4 f4")
BOOTS = {
    "IDE": ("-hda", "FILE"),
    "AHCI": ("--drive", "if=none,id=d,file=FILE", "--device", "ich9-ahci", "--device", "ide-hd,drive=d"),
    "virtio": ("--drive", "if=virtio,file=FILE"),
    "floppy": ("-fda", "FILE"),
}


def claim_a_boot_sector_and_what_it_loads_are_debugged_in_both_directions():
    if not os.path.exists(SEABIOS):
        return
    with Disk() as d:
        image = os.path.join(d.dir.name, "boot.img")
        with open(image, "wb") as f:
            f.write((LOADER.ljust(510, b"\0") + b"\x55\xaa" + LOADED).ljust(1440 << 10, b"\0"))
        for name, words in BOOTS.items():
            with Server("--bios", SEABIOS, *(w.replace("FILE", image) for w in words), guest=None) as s:
                boots(s.client(), name)


def boots(rsp, name):
    rsp.start()
    # There is no code at either place yet.
    for place in 0x7c00, 0x8000:
        equal(rsp.ask("Z0,%x,1" % place), "OK")
    rsp.ask("c")
    first = rsp.position()
    equal(rsp.memory(0x7c00, len(LOADER)), LOADER, name)
    rsp.ask("s")
    rsp.ask("c")
    second = rsp.position()
    equal(rsp.memory(0x8000, len(LOADED)), LOADED, name)
    # Who brought it: a device, or the BIOS by IN.
    equal(rsp.ask("Z2,8003,1"), "OK")
    rsp.ask("bc")
    brought = rsp.position()
    check(first < brought < second, (name, first, brought, second))
    check(rsp.memory(0x8000, len(LOADED)) != LOADED, name)
    rsp.ask("s")
    check(rsp.memory(0x8002, 2) == LOADED[2:4], name)
    equal(rsp.ask("z2,8003,1"), "OK")
    rsp.monitor("seek %d" % brought)
    rsp.ask("c")
    rsp.ask("bc")
    equal(rsp.position(), first, name)
    rsp.ask("bs")
    check(rsp.position() < first, name)
    rsp.ask("s")
    equal(rsp.position(), first, name)
    rsp.ask("s")
    rsp.ask("c")
    equal(rsp.position(), second, name)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])

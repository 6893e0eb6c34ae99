#!/usr/bin/env python3
"""What tables tell of several CPUs is what QEMU's tell: the MADT, the MP table and SMBIOS' processors under SeaBIOS, on the same
topologies; the tables that a kernel without firmware finds name the same CPUs.

    top_builddir=BUILD test_tables.py [CLAIM...]
"""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402
from harness import Failed, Server, check, equal, patience, until  # noqa: E402

BIOS = "/usr/share/seabios/bios.bin"
MEMORY = 64 << 20
# Where tables lie: the BIOS segment (the extended BIOS area before it), and what firmware keeps at the top of memory.
STRETCHES = ((0x9f000, 0x100000), (MEMORY - 0x200000, MEMORY))
TOPOLOGIES = ("1", "4,sockets=4,cores=1,threads=1", "8,sockets=2,cores=2,threads=2", "6,sockets=1,cores=3,threads=2",
              "40,sockets=5,cores=4,threads=2")


def in_qemu(smp):
    """The guest's memory once firmware has no more to do."""
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, "memory")
        qemu = subprocess.Popen(["qemu-system-x86_64", "-M", "pc", "-cpu", "qemu64", "-m", "64M", "-smp", smp, "-display", "none", "-net",
                                 "none", "-serial", "none", "-monitor", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

        def dump(start, size):
            qemu.stdin.write(b'pmemsave %d %d "%s"\n' % (start, size, name.encode()))
            qemu.stdin.flush()
            until(lambda: os.path.exists(name) and os.path.getsize(name) == size, "QEMU's memory")
            with open(name, "rb") as f:
                memory = f.read()
            os.unlink(name)
            return memory

        def is_done():
            time.sleep(0.5)
            return b"No bootable device" in dump(0xb8000, 4000)[::2] # on its screen

        try:
            until(is_done, "the end of SeaBIOS in QEMU")
            return dump(0, MEMORY)
        finally:
            qemu.kill()
            qemu.wait()
            qemu.stdin.close()


def memory_of(rsp, stretches):
    """As QEMU's."""
    out = bytearray(MEMORY)
    rsp.ask("Qqemu.PhyMemMode:1")
    for start, end in stretches:
        for at in range(start, end, 0x1000):
            reply = rsp.ask("m%x,1000" % at)
            if not reply.startswith("E"):              # no memory there
                out[at:at + 0x1000] = bytes.fromhex(reply)
    return bytes(out)


def under_seabios(smp):
    with Server("--bios", BIOS, "--machine", "pc", "--cpu", "qemu64", "--memory", "64M", "--smp", smp, "--icount", "sleep=off", guest=None) as s:
        rsp = s.client()
        for position in (40000000 << n for n in range(6)):
            rsp.monitor("replay_break %d" % position)
            rsp.ask("c")
            rsp.monitor("replay_delete_break")
            memory = memory_of(rsp, STRETCHES)
            if memory.find(b"RSD PTR ", 0xe0000, 0x100000) >= 0 and memory.find(b"_MP_", 0xe0000, 0x100000) >= 0:
                return memory
    raise Failed("SeaBIOS makes no tables")


def without_firmware(smp):
    with Server("--machine", "pc", "--cpu", "qemu64", "--memory", "64M", "--smp", smp, guest=harness.I386.store) as s:
        return memory_of(s.client(), STRETCHES)


def acpi_table(memory, signature):
    at = memory.find(b"RSD PTR ", 0xe0000)
    check(at >= 0, "there is an RSDP")
    rsdt = struct.unpack_from("<I", memory, at + 16)[0]
    for n in range((struct.unpack_from("<I", memory, rsdt + 4)[0] - 36) // 4):
        table = struct.unpack_from("<I", memory, rsdt + 36 + 4 * n)[0]
        if memory[table:table + 4] == signature:
            data = memory[table:table + struct.unpack_from("<I", memory, table + 4)[0]]
            equal(sum(data) & 0xff, 0, "checksum")
            return data
    raise Failed("no %r" % signature)


def madt(memory):
    """Its entries, but for the number of the I/O APIC, which may be any."""
    data = acpi_table(memory, b"APIC")
    entries, at = [data[36:44]], 44
    while at < len(data):
        entry = bytearray(data[at:at + data[at + 1]])
        if entry[0] == 1:
            entry[2] = 0
        entries.append(bytes(entry))
        at += data[at + 1]
    return entries


def mp_table(memory):
    at = memory.find(b"_MP_", 0x9f000)
    check(at >= 0 and sum(memory[at:at + 16]) & 0xff == 0, "there is an MP floating pointer")
    table = struct.unpack_from("<I", memory, at + 4)[0]
    data = memory[table:table + struct.unpack_from("<H", memory, table + 4)[0]]
    equal((data[:4], sum(data) & 0xff), (b"PCMP", 0), "it is whole")
    return data


def processors(table):
    """(APIC ID, enabled and boot flags) of each in an MP table."""
    out, at = [], 44
    for _ in range(struct.unpack_from("<H", table, 34)[0]):
        if table[at] == 0:
            out.append((table[at + 1], table[at + 3]))
        at += 20 if table[at] == 0 else 8
    equal(at, len(table), "its entries fill it")
    return out


def claim_under_seabios_they_are_as_in_qemu():
    for smp in TOPOLOGIES:
        theirs, ours = in_qemu(smp), under_seabios(smp)
        equal(madt(ours), madt(theirs), smp)
        equal(mp_table(ours), mp_table(theirs), smp)


def claim_a_kernel_without_firmware_finds_the_same_cpus():
    for smp in TOPOLOGIES:
        memory = without_firmware(smp)
        cpus = [entry for entry in madt(memory)[1:] if entry[0] == 0 and len(entry) == 8 and entry[4:] == b"\1\0\0\0"]
        count = int(smp.partition(",")[0])
        equal([cpu[2] for cpu in cpus], list(range(count)), smp)
        ids = [cpu[3] for cpu in cpus]
        check(len(set(ids)) == count and ids == sorted(ids), ids)
        equal(processors(mp_table(memory)), [(n, 3 if n == 0 else 1) for n in ids], smp)


if __name__ == "__main__":
    if not os.path.exists(BIOS) or not shutil.which("qemu-system-x86_64"):
        print("skipped: no SeaBIOS or no qemu-system-x86_64")
        sys.exit(77)
    harness.main(sys.modules[__name__])

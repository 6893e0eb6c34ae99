#!/usr/bin/env python3
"""Recordings, end to end: made by one process, opened by another."""

import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

from harness import *  # noqa: F401,F403
import harness
import hcrec
from rspclient import RspError


def hindcast(*args, timeout=60, cwd=None):
    """Run to the end: (exit status, output, errors)."""
    p = subprocess.run([harness.HINDCAST, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=patience(timeout), cwd=cwd)
    return p.returncode, p.stdout, p.stderr


# Where the demo guest is in the midst of its work: it panics, and halts for good, at position 99.6 million.
MIDDLE = 30000000


def record(directory, *more, kill=False):
    """Record the demo guest for a while; the recording's name."""
    return record_to(directory, [MIDDLE], *more, harness.STORE, kill=kill)


def temporary():
    return tempfile.mkdtemp(prefix="hindcast-record-")


def claim_a_recording_replays_with_the_same_console_and_hash():
    d = temporary()
    name = record_until(d, rb"audit passed", "--checkpoints-in-file", "every=20M", harness.STORE)
    status, out, _ = hindcast("info", name)
    equal(status, 0, "info")
    contains(out, r"integrity +whole and closed")
    contains(out, r"length +\d+ instructions, virtual time")
    status, out, _ = hindcast("verify", name)
    equal(status, 0, "verify: " + out)
    contains(out, r"the whole recording replays")
    status, _, err = hindcast("--replay", name, "--run", "--listen", "none", "--serial", "file:" + os.path.join(d, "again"),
                              "--ignore-checkpoints")
    equal(status, 0, err)
    with open(os.path.join(d, "out"), "rb") as a, open(os.path.join(d, "again"), "rb") as b:
        equal(b.read(), a.read(), "console")
    shutil.rmtree(d)


def claim_a_recording_has_the_flags_of_its_cpu():
    d = temporary()
    name = record_until(d, rb"audit passed", "--cpu", "qemu64,+popcnt,-nx,model-id=Some CPU", harness.STORE)
    contains(hindcast("info", name)[1], r"--cpu 'qemu64,\+popcnt,-nx,model-id=Some CPU'|cpu +qemu64,\+popcnt,-nx,model-id=Some CPU")
    equal(hindcast("verify", name)[0], 0, "verify")
    shutil.rmtree(d)


def claim_what_a_query_has_run_is_heard_all_the_same():
    d = temporary()
    name = record_until(d, rb"audit passed", "--checkpoints-in-file", "every=5M", harness.STORE)
    again = os.path.join(d, "again")
    with Server("--replay", name, guest=None, serial="file:" + again) as s:
        rsp = s.client()
        rsp.monitor("exceptions") # goes over all of it
        equal(rsp.ask("Z0,1,1"), "OK", "a breakpoint where nothing runs")
        rsp.ask("c")
    with open(os.path.join(d, "out"), "rb") as a, open(again, "rb") as b:
        equal(b.read(), a.read(), "console")
    shutil.rmtree(d)


def claim_verify_begins_at_every_checkpoint_in_the_file():
    d = temporary()
    name = record_to(d, [20000000, 40000000, 60000000, 61000000], "--checkpoints-in-file", "every=10M", harness.STORE)
    _, out, _ = hindcast("info", name)
    places = re.findall(r"^ +(\d+) +[\d.]+ s +\d+ pages", out, re.M)
    check(len(places) >= 3, "few checkpoints:", out)
    status, out, _ = hindcast("verify", name, "--from", "checkpoints")
    equal(status, 0, out)
    contains(out, r"the whole recording replays")
    equal(re.findall(r"from the checkpoint at (\d+) it replays: \d+ state hashes agree", out), places)
    status, out, _ = hindcast("verify", name, "--from", str(int(places[1]) + 5))
    equal(status, 0, out)
    equal(re.findall(r"from the checkpoint at (\d+)", out), [places[1]])
    lacks(out, r"the whole recording")
    status, out, err = hindcast("verify", name, "--from", "99999999999")
    equal((status, out), (1, ""), "nothing is compared")
    contains(err, r"ends at position \d+: nothing is to be compared from 99999999999 on")
    status, out, err = hindcast("verify", name, "--from", "somewhere")
    equal(status, 1)
    contains(err, r"--from somewhere: write start, checkpoints, or a position")
    shutil.rmtree(d)


def broken(directory, position, *options):
    """What hindcast says that is driven by gdb and breaks at a position."""
    pipe = " ".join([harness.HINDCAST, "--gdb", "stdio", "--serial", "none", *options])
    p = subprocess.run([gdb_program(), "-q", "-nx", "-batch", "-ex", "target remote | " + pipe, "-ex",
                        "monitor maintenance fail %d" % position, "-ex", "continue"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patience(60), cwd=directory)
    contains(p.stdout, r"broken invariant")
    return p.stdout


def claim_a_broken_invariant_leaves_the_history_in_a_recording():
    d = temporary()
    contains(broken(d, 3000000, harness.STORE), r"hindcast --replay hindcast-rescued-1\.hcrec")
    name = os.path.join(d, "hindcast-rescued-1.hcrec")
    status, out, _ = hindcast("info", name)
    equal(status, 0)
    contains(out, r"integrity +whole and closed")
    status, out, _ = hindcast("verify", name)
    equal(status, 0, out)
    contains(out, r"the whole recording replays")
    with open(name, "rb") as f:
        first = f.read()
    # Replaying it comes to the fault; and nothing is written over.
    contains(broken(d, 3000000, "--replay", "hindcast-rescued-1.hcrec"), r"hindcast --replay hindcast-rescued-2\.hcrec")
    with open(name, "rb") as f:
        equal(f.read() == first, True, "the first file")
    shutil.rmtree(d)


def claim_info_is_for_programs_too():
    d = temporary()
    name = record_to(d, [20000000, 40000000], "--embed", "--checkpoints-in-file", "every=10M", harness.STORE)
    status, out, err = hindcast("info", "--json", name)
    equal(status, 0, err)
    got = json.loads(out)
    _, text, _ = hindcast("info", name)
    equal(got["file"], name)
    equal(got["instructions"], int(contains(text, r"^length +(\d+)").group(1)))
    equal(got["configuration"]["machine"], "pc" if harness.STORE.endswith("i386/store.elf") else "virt")
    equal([i["name"] for i in got["images"]], [harness.STORE])
    check(got["images"][0]["embedded"] and got["closed"], out)
    equal([str(c["position"]) for c in got["checkpoints"]], re.findall(r"^ +(\d+) +[\d.]+ s +\d+ pages", text, re.M))
    equal(got["state_hashes"][-1]["hash"], contains(text, r"state hashes .*: ([0-9a-f]{16})$").group(1))
    status, _, err = hindcast("--json", harness.STORE)
    equal(status, 1)
    contains(err, r"--json goes with hindcast info FILE")
    shutil.rmtree(d)


def claim_an_embedded_recording_needs_no_other_file():
    d = temporary()
    copy = os.path.join(d, "guest.elf")
    shutil.copy(harness.STORE, copy)
    name = record_until(d, rb"audit passed", "--embed", copy, kill=True)
    os.unlink(copy)
    equal(hindcast("verify", name, cwd="/")[0], 0, "verify")
    shutil.rmtree(d)


def claim_a_missing_or_changed_image_is_named():
    d = temporary()
    copy = os.path.join(d, "guest.elf")
    shutil.copy(harness.STORE, copy)
    name = record_until(d, rb"store: ready", copy, kill=True)
    os.rename(copy, os.path.join(d, "moved.elf"))
    status, _, err = hindcast("verify", name)
    equal(status, 1)
    contains(err, r"needs its kernel, .*guest\.elf, which is not there.*--kernel FILE")
    equal(hindcast("verify", name, "--kernel", os.path.join(d, "moved.elf"))[0], 0, "moved")
    with open(copy, "wb") as f:
        f.write(b"something else")
    status, _, err = hindcast("verify", name)
    equal(status, 1)
    contains(err, r"is not the kernel that was recorded.*--kernel FILE")
    shutil.rmtree(d)


def claim_a_full_disk_is_told_and_the_guest_goes_on():
    if not os.path.exists("/dev/full"):
        return
    d = temporary()
    out = os.path.join(d, "out")
    p = subprocess.Popen([harness.HINDCAST, "--run", "--listen", "none", "--serial", "file:" + out, "--record", "/dev/full",
                          harness.STORE], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: p.poll() is not None or shown_in(out, rb"audit passed"), "the guest's work")
        check(p.poll() is None, "it ended")
    finally:
        p.terminate()
        said = p.communicate(timeout=patience(20))[1]
    contains(said, r"recording to /dev/full stopped: No space left")
    equal(p.returncode, 1, "what was to be recorded is not")
    shutil.rmtree(d)


def line_that_says(pattern, stream):
    """The next one of them; other things may be said before."""
    lines = []
    for line in stream:
        lines.append(line)
        if re.search(pattern, line):
            return
    contains("".join(lines), pattern)


def claim_a_file_that_may_not_grow_is_gone_on_with_when_it_may():
    d = temporary()
    name, out = os.path.join(d, "r.hcrec"), os.path.join(d, "out")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2600, resource.RLIM_INFINITY))

    p = subprocess.Popen([harness.HINDCAST, "--run", "--listen", "none", "--serial", "none", "--record", name, harness.STORE],
                         stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
    try:
        line_that_says(r"recording to .* stopped: File too large; it is tried again", p.stderr)
        check(os.path.getsize(name) <= 2600, "it grew")
        status, text, _ = hindcast("info", name)
        equal(status, 0, "what is there opens")
        contains(text, r"was not closed")
        resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        line_that_says(r"recording to .* goes on", p.stderr)
    finally:
        end_process(p)
    contains(hindcast("info", name)[1], r"whole and closed")
    equal(hindcast("verify", name)[0], 0, "verify")
    shutil.rmtree(d)


def claim_a_full_disk_is_told_to_the_debugger():
    d = temporary()
    name = os.path.join(d, "r.hcrec")
    with Server("--record", name) as s:
        rsp = s.client()
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (1200, resource.RLIM_INFINITY))
        rsp.monitor("replay_break 60M")
        rsp.ask("c")
        contains(rsp.console, r"recording to .* stopped: File too large")
        # What happened is in memory all the same.
        resource.prlimit(s.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        saved = os.path.join(d, "saved.hcrec")
        with open(saved, "w") as f:
            f.write("precious")
        try:
            check(False, rsp.monitor("save " + saved))
        except RspError as e:
            contains(str(e), r"saved.hcrec: exists, and would be lost")
        contains(rsp.monitor("save " + saved + " force"), r"history to position 60000000")
    equal(hindcast("verify", saved)[0], 0, "the saved one")
    shutil.rmtree(d)


def claim_a_branch_of_a_recording_is_a_recording():
    d = temporary()
    old = record(d)
    end = int(contains(hindcast("info", old)[1], r"length +(\d+) instructions").group(1))
    new, saved = os.path.join(d, "branch.hcrec"), os.path.join(d, "saved.hcrec")
    with Server("--replay", old, "--continue-live", "--record", new, guest=None) as s:
        rsp = s.client()
        rsp.monitor("seek %d" % end)
        rsp.ask("c")
        rsp.monitor("savevm end-of-the-old")
        rsp.monitor("replay_break %d" % (end + 20000000))
        rsp.ask("c")
        contains(rsp.monitor("when"), r"position %d," % (end + 20000000))
        rsp.monitor("save " + saved)
    for name in new, saved:
        text = hindcast("info", name)[1]
        check(int(contains(text, r"length +(\d+) instructions").group(1)) >= end + 20000000, text)
        contains(text, r"%d .* end-of-the-old" % end)
        status, text, err = hindcast("verify", name)
        equal(status, 0, text + err)
    # The old one is what it was; the snapshot came with the new one.
    equal(hindcast("verify", old)[0], 0, "the old one")
    with Server("--replay", new, guest=None) as s:
        rsp = s.client()
        contains(rsp.monitor("info snapshots"), r"^--        end-of-the-old .* %d$" % end)
        rsp.monitor("loadvm end-of-the-old")
        rsp.ask("c")
        contains(rsp.monitor("when"), r"position %d," % end)
    shutil.rmtree(d)


def claim_a_recording_is_not_written_over_itself():
    d = temporary()
    name = record(d)
    other = os.path.join(d, "same.hcrec")
    os.link(name, other)
    status, _, err = hindcast("--replay", name, "--continue-live", "--listen", "127.0.0.1:0", "--record", other)
    equal(status, 1)
    contains(err, r"is read by this run")
    with Server("--replay", name, guest=None) as s:
        rsp = s.client()
        contains(rsp.ask("qRcmd," + ("save " + other).encode().hex()), r"is read by this run")
    equal(hindcast("verify", name)[0], 0, "it is whole")
    shutil.rmtree(d)


def claim_a_damaged_image_inside_is_taken_from_its_file_if_that_is_the_same():
    d = temporary()
    copy = os.path.join(d, "guest.elf")
    shutil.copy(harness.STORE, copy)
    name = record_until(d, rb"audit passed", "--embed", copy)
    edge = hcrec.load(name).edge
    [(at, size)] = [(at, size) for kind, at, size in hcrec.chunks(name) if kind == "IMGD"]
    for where in at + 5, at + 40, at + size - 1:     # the header, and so what it is; what it holds
        hcrec.flip(name, where)
        status, text, err = hindcast("verify", name)
        equal(status, 2, text + err)                 # it is no sound file
        contains(err, r"the image .*guest\.elf inside the recording is incomplete or damaged.*; it is taken from .*guest\.elf, which is the same")
        contains(text, r"the chunk at byte %d .*; with it, bytes 0 to \d+ of the image .*guest\.elf" % at)
        contains(text, r"what is good of the recording replays, to position %d:" % edge)
        _, text, _ = hindcast("info", name)
        contains(text, r"integrity +closed, and 1 of \d+ chunks damaged")
        info = json.loads(hindcast("info", "--json", name)[1])
        check(info["closed"] and info["instructions"] == edge and info["damage"][0]["at_byte"] == at, info)
        with Server("--replay", name, guest=None) as s:
            contains(s.client().monitor("info replay"), str(edge))
        os.rename(copy, copy + ".away")
        status, _, err = hindcast("verify", name)
        equal(status, 1)
        contains(err, r"the image .*guest\.elf inside the recording is incomplete or damaged.*say where it is with --kernel FILE")
        equal(hindcast("verify", name, "--kernel", copy + ".away")[0], 2, "the same elsewhere")
        with open(copy, "wb") as f:
            f.write(b"another")
        status, _, err = hindcast("verify", name)
        equal(status, 1)
        contains(err, r"guest\.elf is not the kernel that was recorded")
        os.rename(copy + ".away", copy)
        hcrec.flip(name, where)
    equal(hindcast("verify", name)[0], 0, "as it was")
    shutil.rmtree(d)


def claim_a_damaged_checkpoint_or_hash_costs_nothing_but_time():
    d = temporary()
    name = record_to(d, [20000000, 40000000, 60000000], "--checkpoints-in-file", "every=10M", harness.STORE)
    whole = hcrec.load(name)
    places = [(kind, at, size) for kind, at, size in hcrec.chunks(name) if kind in ("CKPT", "HASH", "WITN", "MARK")]
    check({kind for kind, _, _ in places} == {"CKPT", "HASH", "WITN", "MARK"}, places)
    for kind in "CKPT", "HASH", "WITN", "MARK":
        at, size = [(at, size) for k, at, size in places if k == kind][1 if kind in ("CKPT", "HASH") else 0]
        for where in at + 30, at + size - 1:
            hcrec.flip(name, where)
            _, text, _ = hindcast("info", name)
            contains(text, r"length +%d instructions" % whole.edge)
            contains(text, r"the chunk at byte %d " % at)
            with Server("--replay", name, guest=None) as s:
                rsp = s.client()
                rsp.monitor("seek end")
                rsp.ask("c")
                equal(rsp.position(), whole.edge, kind)
                contains(rsp.monitor("info hash"), whole.hashes[-1][2])
            hcrec.flip(name, where)
    shutil.rmtree(d)


def claim_a_closed_recording_with_a_wrong_byte_does_not_verify():
    d = temporary()
    name = record(d)
    good = open(name, "rb").read()
    at = middle = 16
    while at < len(good) // 2:
        middle = at
        at += 48 + struct.unpack("<I", good[at + 8:at + 12])[0]
    check(struct.unpack("<I", good[middle + 8:middle + 12])[0] > 0, "the chunk in the middle has a payload")
    for place, said in ((middle, r"is not one \(no HCCK\)"), (middle + 8, "has a damaged header"), (middle + 48, "is damaged")):
        with open(name, "wb") as f:
            f.write(good[:place] + bytes([good[place] ^ 0xff]) + good[place + 1:])
        status, text, err = hindcast("verify", name)
        equal(status, 2, text + err)
        contains(text, said)
        check("the whole recording" not in text, text)
    shutil.rmtree(d)


def claim_another_format_is_named_with_the_file():
    d = temporary()
    name = os.path.join(d, "newer.hcrec")
    header = b"\x89HCREC\r\n" + struct.pack("<I", 4)
    with open(name, "wb") as f:
        f.write(header + struct.pack("<I", zlib.crc32(header)))
    for words in ("info", name), ("verify", name), ("--replay", name):
        status, _, err = hindcast(*words)
        equal(status, 1)
        contains(err, r"newer\.hcrec: the recording is of format 4 and this hindcast reads format 3: use .*newer")
    shutil.rmtree(d)


def change_chunk(name, kind, number, change):
    """Change the payload of the number-th chunk of a kind, checksums and all; False: there is none."""
    data = open(name, "rb").read()
    out, at = data[:16], 16
    while at + 48 <= len(data) and data[at:at + 4] == b"HCCK":
        header = list(struct.unpack("<4s4sIIIIQQII", data[at:at + 48]))
        payload = data[at + 48:at + 48 + header[2]]
        at += 48 + header[2]
        if header[1] == kind and number == 0:
            payload = bytearray(zlib.decompress(payload) if header[5] & 1 else payload)
            change(payload, header)
            header[2] = header[3] = len(payload)
            header[5] &= ~1
        number -= header[1] == kind
        header[8] = zlib.crc32(payload)
        packed = struct.pack("<4s4sIIIIQQI", *header[:9])
        out += packed + struct.pack("<I", zlib.crc32(packed)) + payload
        if header[1] == b"INDX":
            break
    with open(name, "wb") as f:
        f.write(out)


def claim_divergence_is_told_with_place_and_part_and_can_be_looked_at():
    d = temporary()
    name = record_to(d, [12000000, 24000000, 36000000], harness.STORE)
    changed = os.path.join(d, "changed.hcrec")
    place = []

    def another_register(payload, header):
        """The first witness: a tag of the CPU, and of its first register."""
        components, registers = struct.unpack_from("<II", payload)
        known = 8 + (2 * components + registers + 7) // 8
        tags = known + 8
        payload[tags + 2] ^= 1
        payload[tags + 2 * components] ^= 1
        place.append(struct.unpack_from("<Q", payload, known)[0])

    shutil.copy(name, changed)
    change_chunk(changed, b"WITN", 0, another_register)
    status, out, _ = hindcast("verify", changed)
    equal(status, 2, out)
    contains(out, r"diverges at position %d: the state is not the recorded one \(cpu0 \(eax\)\)" % place[0])
    contains(out, r"Run again, one instruction at a time.*it is the recording that differs")

    def another_page(payload, header):
        """The hash of the area of RAM, the first one, and the sums of its pages' hashes, as if page 5 had been another."""
        area = 16 + 8 * header[4]
        state, = struct.unpack_from("<Q", payload, area)
        struct.pack_into("<Q", payload, area, (state + 99) % 2**64)
        sums = area + 8
        name, _, _, pages = hcrec.load(changed).layout["area"][0]
        equal(name, "ram")
        for bit in 0, 2, (pages - 1).bit_length():
            old, = struct.unpack_from("<I", payload, sums + 4 * bit)
            struct.pack_into("<I", payload, sums + 4 * bit, (old + 99) % 2**32)
        place.append(header[6])

    shutil.copy(name, changed)
    change_chunk(changed, b"HASH", 1, another_page)
    status, out, _ = hindcast("verify", changed)
    equal(status, 2, out)
    contains(out, r"diverges at position %d: the state is not the recorded one \(page 5 of ram\)" % place[1])

    if os.environ.get("GDB") or shutil.which("gdb") or shutil.which("gdb-multiarch"):
        out = gdb_over(changed, os.path.join(d, "s"), "continue", "monitor when", "info registers pc", "stepi", "monitor when",
                       "reverse-stepi", "monitor when", "continue", "monitor info replay", "reverse-continue", "monitor when")
        contains(out, r"the replay is not what happened: replay diverges at position %d" % place[1])
        equal(len(re.findall(r"^position %d," % place[1], out, re.M)), 3, "it stands there: " + out)
        contains(out, r"^position %d," % (place[1] - 1))
        contains(out, r"^position 0,")
    shutil.rmtree(d)


def claim_what_a_power_cut_leaves_opens_to_its_last_whole_chunk():
    """What fdatasync had asked for is there; of what was written after that, a beginning, and zeros in place of the rest."""
    d = temporary()
    name = record_to(d, [10000000, 20000000, 30000000], "--checkpoints-in-file", "every=10M", harness.STORE)
    with open(name, "rb") as f:
        data = f.read()
    torn = os.path.join(d, "torn.hcrec")
    edges, at, opened = set(), 16, 0
    while data[at:at + 4] == b"HCCK":
        next_one = at + 48 + struct.unpack_from("<I", data, at + 8)[0]
        middle = (at + next_one) // 2
        for there, end in ((at, next_one), (at + 20, -(-next_one // 4096) * 4096), (middle, next_one), (middle, len(data))):
            with open(torn, "wb") as f:
                f.write(data[:there])
                f.truncate(end)
            whole = hcrec.load(torn).edge
            status, out, err = hindcast("info", torn)
            if whole is None:
                equal(status, 1, out)
                contains(err, r"the recording holds no history: ")
                continue
            equal(status, 0, err)
            contains(out, r"^length +%d instructions" % whole)
            contains(out, r"^integrity +good up to byte \d+ of %d: .*%s" % (end, "zeros.*power" if end - there > 100 else ""))
            opened += 1
            if whole not in edges or there == middle:
                status, out, err = hindcast("verify", torn)
                equal(status, 0, out + err)
                contains(out, r"what is good of the recording replays, to position %d" % whole)
            edges.add(whole)
        at = next_one
    check(opened > 20 and len(edges) > 3, opened, edges)
    # It is a recording like others, which can be gone on with.
    new = os.path.join(d, "new.hcrec")
    with open(torn, "wb") as f:
        f.write(data[:len(data) // 2] + bytes(5000))
    with Server("--replay", torn, "--continue-live", "--record", new, guest=None) as s:
        s.wait_errors(r"zeros")
        rsp = s.client()
        rsp.monitor("replay_break 40000000")
        rsp.ask("c")
        equal(rsp.position(), 40000000)
    equal(hindcast("verify", new)[0], 0, "the new one")
    for nothing in b"", bytes(100), bytes(10000):
        with open(torn, "wb") as f:
            f.write(nothing)
        status, _, err = hindcast("info", torn)
        equal(status, 1)
        contains(err, r"there is nothing in the recording")
    shutil.rmtree(d)


def claim_what_has_no_end_is_no_recording():
    done = subprocess.run(["sh", "-c", "%sexec %s info /dev/zero" % ("" if harness.sanitized() else "ulimit -v 8000000; ", harness.HINDCAST)],
                          capture_output=True, text=True, timeout=harness.patience(60))
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, r"/dev/zero: \d+ bytes are more than is read of what is no regular file")


def claim_what_a_recording_decides_cannot_be_given():
    status, _, err = hindcast("--replay", "x", "--memory", "64M", "--listen", "127.0.0.1:0")
    equal(status, 1)
    contains(err, r"--memory: what the machine is, the recording says")
    status, _, err = hindcast("info", harness.STORE)
    equal(status, 1)
    contains(err, r"not a hindcast recording")
    status, _, err = hindcast("--record", "x", "--checkpoints-in-file", "often", "y")
    equal(status, 1)
    contains(err, r"every=N")


def gdb_over(name, socket, *commands):
    p = subprocess.Popen([harness.HINDCAST, "--replay", name, "--listen", "unix:" + socket, "--serial", "none"],
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: os.path.exists(socket), "the socket")
    gdb = os.environ.get("GDB") or shutil.which("gdb") or shutil.which("gdb-multiarch")
    args = [gdb, "-nx", "-batch", "-ex", "target remote " + socket]
    for c in commands:
        args += ["-ex", c]
    out = subprocess.run(args + [harness.STORE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=patience(60)).stdout
    end_process(p)
    return out


def claim_gdb_finds_both_ends_of_a_saved_session():
    if not (os.environ.get("GDB") or shutil.which("gdb") or shutil.which("gdb-multiarch")):
        return
    d = temporary()
    name = record(d)
    saved = os.path.join(d, "saved.hcrec")
    out = gdb_over(name, os.path.join(d, "s"), "break panic", "continue", "continue", "monitor info replay",
                   "monitor save " + saved, "reverse-stepi", "reverse-continue", "reverse-continue")
    contains(out, r"state hashes agreed")
    contains(out, r"saved\.hcrec: \d+ bytes")
    contains(out, harness.NO_HISTORY)
    equal(hindcast("verify", saved)[0], 0, "the saved one")
    shutil.rmtree(d)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])

#!/usr/bin/env python3
"""Recordings, end to end: made by one process, opened by another."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from harness import *  # noqa: F401,F403
import harness


def hindcast(*args, timeout=60, cwd=None):
    """Run to the end: (exit status, output, errors)."""
    p = subprocess.run([harness.HINDCAST, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=timeout * SLOW, cwd=cwd)
    return p.returncode, p.stdout, p.stderr


def record(directory, seconds, *more, kill=True):
    """Record the demo guest for a while; the recording's name."""
    name = os.path.join(directory, "r.hcrec")
    p = subprocess.Popen([harness.HINDCAST, "--run", "--listen", "none", "--serial", "file:" + os.path.join(directory, "out"),
                          "--record", name, *more, harness.STORE],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    if kill:
        p.kill()
    else:
        p.terminate()
    p.wait(20)
    return name


def temporary():
    return tempfile.mkdtemp(prefix="hindcast-record-")


def final_hash(text):
    return contains(text, r"final hash ([0-9a-f]{16}) at position (\d+)").groups()


def claim_a_recording_replays_with_the_same_console_and_hash():
    d = temporary()
    name = record(d, 2 * SLOW, "--checkpoints-in-file", "every=20M", kill=False)
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


def claim_verify_begins_at_every_checkpoint_in_the_file():
    d = temporary()
    name = record(d, 2.5 * SLOW, "--checkpoints-in-file", "every=10M", kill=False)
    _, out, _ = hindcast("info", name)
    places = re.findall(r"^ +(\d+) +[\d.]+ s +\d+ pages", out, re.M)
    check(len(places) >= 2, "few checkpoints:", out)
    status, out, _ = hindcast("verify", name, "--from", "checkpoints")
    equal(status, 0, out)
    contains(out, r"the whole recording replays")
    equal(re.findall(r"from the checkpoint at (\d+) it replays: \d+ state hashes agree", out), places)
    status, out, _ = hindcast("verify", name, "--from", str(int(places[1]) + 5))
    equal(status, 0, out)
    equal(re.findall(r"from the checkpoint at (\d+)", out), [places[1]])
    lacks(out, r"the whole recording")
    status, out, err = hindcast("verify", name, "--from", "somewhere")
    equal(status, 1)
    contains(err, r"--from somewhere: write start, checkpoints, or a position")
    shutil.rmtree(d)


def claim_an_embedded_recording_needs_no_other_file():
    d = temporary()
    copy = os.path.join(d, "guest.elf")
    shutil.copy(harness.STORE, copy)
    name = os.path.join(d, "r.hcrec")
    p = subprocess.Popen([harness.HINDCAST, "--run", "--listen", "none", "--serial", "none", "--embed", "--record", name, copy],
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1 * SLOW)
    p.kill()
    p.wait()
    os.unlink(copy)
    equal(hindcast("verify", name, cwd="/")[0], 0, "verify")
    shutil.rmtree(d)


def claim_a_missing_or_changed_image_is_named():
    d = temporary()
    copy = os.path.join(d, "guest.elf")
    shutil.copy(harness.STORE, copy)
    name = os.path.join(d, "r.hcrec")
    p = subprocess.Popen([harness.HINDCAST, "--run", "--listen", "none", "--serial", "none", "--record", name, copy],
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1 * SLOW)
    p.kill()
    p.wait()
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
    time.sleep(1.5 * SLOW)
    check(p.poll() is None, "it ended")
    p.terminate()
    contains(p.communicate(timeout=20)[1], r"recording to /dev/full stopped: No space left")
    check(os.path.getsize(out) > 0, "the guest did nothing")
    shutil.rmtree(d)


def claim_what_a_recording_decides_cannot_be_given():
    status, _, err = hindcast("--replay", "x", "--memory", "64M")
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
    for _ in range(100 * SLOW):
        if os.path.exists(socket):
            break
        time.sleep(0.05)
    gdb = os.environ.get("GDB") or shutil.which("gdb") or shutil.which("gdb-multiarch")
    args = [gdb, "-nx", "-batch", "-ex", "target remote " + socket]
    for c in commands:
        args += ["-ex", c]
    out = subprocess.run(args + [harness.STORE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=60 * SLOW).stdout
    p.terminate()
    p.wait(20)
    return out


def claim_gdb_finds_both_ends_of_a_saved_session():
    if not (os.environ.get("GDB") or shutil.which("gdb") or shutil.which("gdb-multiarch")):
        return
    d = temporary()
    name = record(d, 1.2 * SLOW, kill=False)
    saved = os.path.join(d, "saved.hcrec")
    out = gdb_over(name, os.path.join(d, "s"), "break panic", "continue", "continue", "monitor info replay",
                   "monitor save " + saved, "reverse-stepi", "reverse-continue", "reverse-continue")
    contains(out, r"state hashes agreed")
    contains(out, r"saved\.hcrec: \d+ bytes")
    contains(out, r"No more reverse-execution history")
    equal(hindcast("verify", saved)[0], 0, "the saved one")
    shutil.rmtree(d)


if __name__ == "__main__":
    harness.main(sys.modules[__name__])

#!/usr/bin/env python3
"""A Debian boot with a typed-at shell, recorded to a file and replayed from it.

    test_debian_record.py HINDCAST [686|686-pae ...]

The console and the final hash of the replay are those of the recording, the
recording needs nothing but itself, and its size and cost are told.

Exit status 77: the packages cannot be fetched here.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SHELL = [("echo hello-$((6*7))", b"hello-42"), ("cat /proc/uptime; date", b"UTC"),
         ("i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo looped-$i", b"looped-3000")]
failed = 0


def check(claim, true, detail=""):
    """Print one claim."""
    global failed
    failed += not true
    print("%s - %s%s" % ("ok  " if true else "FAIL", claim, "" if true else " " + str(detail)), flush=True)


def wait(process, console, text, seconds=400):
    end = time.monotonic() + seconds
    start = len(console)
    while text not in console[start:]:
        if time.monotonic() > end:
            raise RuntimeError("no %r in %r" % (text, bytes(console[-500:])))
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            raise RuntimeError("the console closed: %r" % bytes(console[-500:]))
        console += data


def session(command):
    """Boot, type, power off: the console, seconds to the shell, stderr."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    console = bytearray()
    start = time.monotonic()
    wait(process, console, b"guest# ")
    seconds = time.monotonic() - start
    for line, answer in SHELL:
        for char in line.encode() + b"\n":
            process.stdin.write(bytes([char]))
            process.stdin.flush()
            time.sleep(0.002)
        wait(process, console, answer)
        if b"guest# " not in console[console.rfind(answer):]:
            wait(process, console, b"guest# ")
    process.terminate()
    console += process.stdout.read()
    errors = process.stderr.read().decode()
    process.wait()
    return bytes(console), seconds, errors


def run(command):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    return p.returncode, p.stdout, p.stderr.decode()


def one(program, kernel, initrd, flavour, tmp):
    name = os.path.join(tmp, flavour + ".hcrec")
    base = [program, "--run", "--listen", "none", "--icount", "shift=0,sleep=off", "--memory", "256M", "--serial",
            "stdio", "--append", "console=ttyS0", "--initrd", initrd, "--kernel", kernel]
    _, plain, _ = session(base)
    console, seconds, _ = session(base + ["--record", name])
    print("     %s: to the shell %.2f s, recorded %.2f s (%+.1f %%)" %
          (flavour, plain, seconds, (seconds / plain - 1) * 100), flush=True)
    _, out, _ = run([program, "info", name])
    steps = int(re.search(rb"length +(\d+)", out).group(1))
    typed = sum(len(line) + 1 for line, _ in SHELL)
    size = os.path.getsize(name)
    print("     %s: %d bytes for %d steps (%.1f kB per billion), %d bytes typed" %
          (flavour, size, steps, size / 1000 / (steps / 1e9), typed), flush=True)
    check("%s: log below 100 kB per billion instructions" % flavour, size < 100e3 * steps / 1e9 + 20e3, size)
    status, out, err = run([program, "verify", name])
    check("%s: verify passes" % flavour, status == 0, out + err.encode())
    print("     " + out.decode().replace("\n", "\n     ").rstrip(), flush=True)
    status, again, err = run([program, "--replay", name, "--run", "--listen", "none", "--serial", "stdio"])
    check("%s: the replay ends where the recording ends" % flavour, status == 0 and "recording ends here" in err, err)
    check("%s: same console, byte for byte" % flavour, again == console, (len(again), len(console)))
    # Checkpoints in the file, images too; opened from an empty directory.
    whole = os.path.join(tmp, flavour + "-whole.hcrec")
    session(base + ["--record", whole, "--embed", "--checkpoints-in-file", "every=300M"])
    with tempfile.TemporaryDirectory() as empty:
        p = subprocess.run([program, "verify", whole], cwd=empty, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        check("%s: embedded, with checkpoints: verify passes anywhere" % flavour, p.returncode == 0, p.stdout)
    _, out, _ = run([program, "info", whole])
    print("     " + re.search(rb"checkpoints.*", out).group(0).decode() + ", %d bytes" % os.path.getsize(whole))
    check("%s: there are checkpoints" % flavour, int(re.search(rb"checkpoints +(\d+)", out).group(1)) > 0)


def main():
    program = os.path.abspath(sys.argv[1])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = os.path.join(base, "hindcast")
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "i386", cache, "linux-image-686", "linux-image-686-pae",
                       "busybox-static"]).returncode:
        return 77
    root = os.path.join(cache, "i386", "root")
    with tempfile.TemporaryDirectory() as tmp:
        initrd = os.path.join(tmp, "initrd.gz")
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd], check=True)
        for flavour in sys.argv[2:] or ["686", "686-pae"]:
            with open("%s/i386/done/linux-image-%s" % (cache, flavour)) as f:
                version = f.read().strip()[len("linux-image-"):]
            one(program, "%s/boot/vmlinuz-%s" % (root, version), initrd, flavour, tmp)
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())

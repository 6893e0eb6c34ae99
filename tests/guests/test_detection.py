#!/usr/bin/env python3
"""What programs make of the processor is what its model says: glibc's dynamic linker tells which levels of x86-64 it would
load libraries for, the runtime of Go which instruction sets it misses, and that of Java which it has found, in a Debian guest
of each 64-bit model.

    test_detection.py HINDCAST [MODEL ...]

Exit status 77: the packages cannot be fetched here.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import test_debian_i386 as common  # noqa: E402
import test_kernels as kernels  # noqa: E402
from test_debian_i386 import check  # noqa: E402

SETS = ("sse3", "ssse3", "sse41", "sse42", "popcnt", "aes", "pclmulqdq", "avx", "avx2", "bmi1", "bmi2", "fma", "erms", "adx", "rdtscp")
NEHALEM = {"sse3", "ssse3", "sse41", "sse42", "popcnt"}
HASWELL = set(SETS) - {"adx"}
# The highest level (psABI, x86-64 1.0, table 3.1), and which of SETS there are.
MODELS = {
    "qemu64": (1, {"sse3"}),
    "core2duo": (1, {"sse3", "ssse3"}),
    "Nehalem": (2, NEHALEM),
    "Haswell": (3, HASWELL),
    "max": (3, set(SETS)),
}
# A program of Go, any that is small; GODEBUG makes the runtime name sets that it cannot use.
GO_PROGRAM = "fzf"
# What HotSpot calls those of SETS that it looks for, and the models it is asked on: all that it can run on take long.
JAVA = {"sse3": "sse3", "ssse3": "ssse3", "sse41": "sse4.1", "sse42": "sse4.2", "popcnt": "popcnt", "aes": "aes", "pclmulqdq": "clmul",
        "avx": "avx", "avx2": "avx2", "bmi1": "bmi1", "bmi2": "bmi2", "fma": "fma", "erms": "erms", "adx": "adx"}
JAVA_MODELS = "qemu64", "Haswell", "max"
JAVA_HOME = "usr/lib/jvm/java-17-openjdk-amd64"
JAVA_PARTS = ["bin/java", "lib/modules", "lib/server/libjvm.so"] + ["lib/lib%s.so" % n for n in ("java", "jimage", "jli", "net", "nio", "zip")]
SCRIPT = """#!/bin/sh
mkdir -p /lib64
ln -s /ld-linux-x86-64.so.2 /lib64/ld-linux-x86-64.so.2
"""


def make_java(root, output):
    """A further initramfs: the virtual machine, and the libraries it needs."""
    with tempfile.TemporaryDirectory() as tmp:
        for part in JAVA_PARTS:
            place = os.path.join(tmp, "java", part)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy(os.path.join(root, JAVA_HOME, part), place)
        with open(os.path.join(tmp, "java/lib/jvm.cfg"), "w") as f:
            f.write("-server KNOWN\n")
        for name in ("libm.so.6", "libz.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1"):
            found = glob.glob("%s/lib/x86_64-linux-gnu/%s" % (root, name)) + glob.glob("%s/usr/lib/x86_64-linux-gnu/%s" % (root, name))
            shutil.copy(found[0], tmp)
        subprocess.run("find . | cpio --quiet -o -H newc -R 0:0 | gzip -1n >>%s" % output, shell=True, cwd=tmp, check=True)


def ask_java(guest, model, sets):
    text = kernels.ask(guest, "LD_LIBRARY_PATH=/ /java/bin/java -Xlog:os+cpu -version 2>&1; echo j-$((6*7))", rb"(?s)\n(.*)j-42",
                       ).group(1).decode("latin-1")
    line = re.search(r"CPU: total 1 .*", text)
    found = set(re.findall(r"[\w.]+", line.group(0))) if line else set()
    check("%s: Java's finds them, too, and runs" % model, {n for n, java in JAVA.items() if java in found} == sets & set(JAVA)
          and "OpenJDK 64-Bit Server VM" in text, text)


def run(program, kernel, initrds, model):
    level, sets = MODELS[model]
    java = initrds[1] and model in JAVA_MODELS
    guest = common.Guest(program, kernel, initrds[1 if java else 0], extra=("--cpu", model, "--memory", "768M" if java else "256M"))
    guest.rsp.send("c")
    guest.wait_console(rb"guest# ")
    text = kernels.ask(guest, "/ld-linux-x86-64.so.2 --help | grep x86-64-v; echo l-$((6*7))", rb"(?s)\n(.*)l-42").group(1).decode("latin-1")
    found = {int(n) for n in re.findall(r"x86-64-v(\d) \(supported", text)}
    check("%s: glibc finds level %d of x86-64" % (model, level), found == set(range(2, level + 1)), text)
    options = ",".join("cpu.%s=on" % name for name in SETS)
    text = kernels.ask(guest, "GODEBUG=%s LD_LIBRARY_PATH=/ /%s --version; echo g-$((6*7))" % (options, GO_PROGRAM),
                       rb"(?s)\n(.*)g-42").group(1).decode("latin-1")
    missing = set(re.findall(r'can not enable "(\w+)", missing CPU support', text))
    check("%s: Go's runtime finds the same instruction sets" % model, missing == set(SETS) - sets and "unknown" not in text, text)
    if java:
        ask_java(guest, model, sets)
    common.power_off(guest, model)
    guest.close()


def main():
    cache = common.cache_dir()
    kernel = kernels.fetch(cache, "amd64", None, "linux-image-cloud-amd64")
    if not kernel or subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "busybox-static", "libc6", GO_PROGRAM]).returncode:
        sys.exit(77)
    root = os.path.join(cache, "amd64", "root")
    with tempfile.TemporaryDirectory() as tmp:
        initrd, script = os.path.join(tmp, "initrd.gz"), os.path.join(tmp, "script")
        with open(script, "w") as f:
            f.write(SCRIPT)
        libraries = [glob.glob("%s/lib/x86_64-linux-gnu/%s" % (root, name))[0] for name in ("ld-linux-x86-64.so.2", "libc.so.6")]
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script, root + "/usr/bin/" + GO_PROGRAM]
                       + libraries, check=True)
        with_java = None
        if subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "openjdk-17-jre-headless", "zlib1g", "libstdc++6",
                           "libgcc-s1"]).returncode == 0:
            with_java = os.path.join(tmp, "java.gz")
            shutil.copy(initrd, with_java)
            make_java(root, with_java)
        for model in sys.argv[2:] or MODELS:
            run(sys.argv[1], kernel, (initrd, with_java), model)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()

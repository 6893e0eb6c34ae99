#!/usr/bin/env python3
"""The Xen hypervisor from Debian with a Debian kernel as its PV dom0, by Multiboot 2: typed at, recorded, replayed.

    test_xen_amd64.py HINDCAST

Xen's file is compressed, is moved to where there is room, calls the BIOS that is not there, and gets
dom0's kernel and initramfs as modules.

Exit status 77: the packages cannot be fetched here.
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest  # noqa: E402
import test_debian_i386 as common  # noqa: E402
from firmware_guest import check  # noqa: E402

SCRIPT = """#!/bin/sh
echo hypervisor-$(cat /sys/hypervisor/type)-$(cat /sys/hypervisor/version/major).$(cat /sys/hypervisor/version/minor)
"""


def main():
    program, cache = sys.argv[1], common.cache_dir()
    if subprocess.run([os.path.join(HERE, "fetch-debian"), "amd64", cache, "busybox-static", "linux-image-amd64",
                       "xen-hypervisor-4.17-amd64"]).returncode:
        sys.exit(77)
    root = os.path.join(cache, "amd64", "root")
    with open(os.path.join(cache, "amd64", "done", "linux-image-amd64")) as f:
        kernel = "%s/boot/vmlinuz-%s" % (root, f.read().strip()[len("linux-image-"):])
    with tempfile.TemporaryDirectory() as tmp:
        script, initrd, recording = (os.path.join(tmp, n) for n in ("script", "initrd.gz", "xen.hcrec"))
        with open(script, "w") as f:
            f.write(SCRIPT)
        subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, script], check=True)
        # Xen takes the first word for its own name, as of any loader but GRUB.
        guest = firmware_guest.Guest(
            program, root + "/boot/xen-4.17-amd64.gz", "--cpu", "Haswell", "--memory", "512M", "--icount", "sleep=off",
            "--append", "xen console=com1 com1=115200,8n1 dom0_mem=256M", "--initrd", kernel + " console=hvc0 quiet",
            "--initrd", initrd, "--record", recording)
        rsp = guest.rsp
        rsp.send("c")
        guest.expect(rb"\(XEN\) Command line: console=com1")
        guest.expect(rb"\(XEN\) Dom0 has maximum 1 VCPUs|\(XEN\) \*\*\* LOADING DOMAIN 0 \*\*\*")
        guest.expect(rb"hypervisor-xen-4\.17")
        guest.expect(rb"guest# ", "echo product-$((6*9)); grep -c xen /proc/cpuinfo /proc/iomem\n")
        check("Xen: dom0 comes to its shell and is typed at", guest.expect(rb"product-54") is not None)
        common.stop_guest(guest)
        here, state = rsp.position(), firmware_guest.state_hash(rsp)
        for _ in range(3):
            rsp.ask("bs")
        check("Xen: one can step back in dom0", rsp.position() < here, rsp.position())
        rsp.monitor("seek %d" % (here // 2))
        rsp.ask("bc")
        rsp.monitor("seek %d" % here)
        rsp.ask("c")
        check("Xen: the state is the same after seeking", firmware_guest.state_hash(rsp) == state)
        rsp.send("c")
        guest.type("poweroff -f\n")
        reply = rsp.wait()
        check("Xen: dom0 switches the machine off", reply[:1] in "TSW", reply)
        guest.close()
        out = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check("Xen: its recording replays", out.returncode == 0, out.stdout[-2000:].decode("latin-1"))
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A TPM 2.0, swtpm on the host, as a guest's drivers use it. What is recorded replays without it; who goes on live from a past finds
the TPM as it was there ("live").

    test_tpm.py HINDCAST [NAME...]

Exit status 77: there is no swtpm, or the packages cannot be fetched here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import firmware_guest as fw  # noqa: E402
import test_debian_i386 as common  # noqa: E402
from test_debian_i386 import check, fetched  # noqa: E402

# The driver has started the TPM; here it is asked for randomness, told an event for PCR 23, and asked for that.
SCRIPT = r"""#!/bin/sh
# instead of init
exec 2>&1
dmesg | grep -i tpm
cat /sys/class/tpm/tpm0/tpm_version_major
ask() { printf "$2" >&3; echo "$1: $(dd bs=4096 count=1 <&3 2>/dev/null | hexdump -v -e '1/1 "%02x"')"; }
exec 3<>/dev/tpm0
ask random '\200\1\0\0\0\14\0\0\1\173\0\40'
cat /sys/class/tpm/tpm0/pcr-sha256/23
ask event '\200\2\0\0\0\043\0\0\1\74\0\0\0\027\0\0\0\011\100\0\0\011\0\0\0\0\0\0\006guest!'
cat /sys/class/tpm/tpm0/pcr-sha256/23
ask capability '\200\1\0\0\0\26\0\0\1\172\0\0\0\6\0\0\1\0\0\0\0\1'
cd /sys/class/tpm/tpm0/ppi
echo "ppi version $(cat version), $(cat transition_action)"
echo 5 > request 2>/dev/null && echo "requested what firmware does not know"
for at in 005 016 006; do devmem 0xfed45$at 8 $(( 0x$at == 0x16 ? 3 : 0x$at == 5 ? 4 : 2 )); done # what it knows, and what somebody has to confirm
devmem 0xfed45111 32 22
devmem 0xfed45105 32 0xfffffff0
echo "ppi response $(cat response)"
echo "ppi operations $(cat tcg_operations | tr '\n' ';')"
echo 6 > request 2>/dev/null && echo "requested what firmware blocks"
echo 22 7 > request
echo "ppi request $(cat request), $(devmem 0xfed45109 32), $(devmem 0xfed4510d 32)"
cd /
grep -i tpm /proc/interrupts
for f in /sys/firmware/acpi/tables/TPM2; do hexdump -v -e '1/1 "%02x"' $f; echo; done
echo "hindcast-guest: done"
sleep 1
poweroff -f
"""

PPI = [r"ppi version 1\.3, 2: Reboot", r"ppi response 22 0xFFFFFFF0: User Abort", r"ppi request 22, 0x00000016, 0x00000007",
       r"ppi operations 5 4: User not required;6 2: Blocked for OS by BIOS;22 3: User required;", r"^(?!(?s:.*)requested what)"]

# By name: architecture, options, what else the guest says.
GUESTS = {
    "tis-amd64": ("amd64", ["--device", "tpm-tis,tpmdev=t"], PPI),
    "crb-amd64": ("amd64", ["--device", "tpm-crb,tpmdev=t"], PPI),
    "tis-i386": ("i386", ["--device", "tpm-tis,tpmdev=t"], PPI),
}
KERNELS = {"amd64": "linux-image-amd64", "i386": "linux-image-686"}


class Swtpm:
    """One with a state of its own, in `directory`."""

    def __init__(self, directory):
        self.socket = os.path.join(directory, "swtpm")
        state = os.path.join(directory, "tpm")
        os.makedirs(state, exist_ok=True)
        self.process = subprocess.Popen(["swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + state, "--ctrl", "type=unixio,path=" + self.socket])
        while not os.path.exists(self.socket) and self.process.poll() is None:
            time.sleep(0.05)
        self.options = ["--chardev", "socket,id=c,path=" + self.socket, "--tpmdev", "emulator,id=t,chardev=c"]

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)


def make_initrd(tmp, root, script):
    path, initrd = os.path.join(tmp, "script"), os.path.join(tmp, "initrd.gz")
    with open(path, "w") as f:
        f.write(script)
    subprocess.run([os.path.join(HERE, "make-initramfs"), root + "/bin/busybox", initrd, path], check=True)
    return initrd


def run(program, words, timeout=900):
    done = subprocess.run([program, "--run", "--listen", "none", "--serial", "stdio"] + words, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    return done.stdout.decode("latin-1")


def answers(text, name):
    return re.findall(r"^%s: ([0-9a-f]*)\r?$" % name, text, re.M)


def through(tmp, program, name):
    arch, device, expected = GUESTS[name]
    root, version = fetched(arch, KERNELS[arch])
    recording, tpm = os.path.join(tmp, "r.hcrec"), Swtpm(tmp)
    try:
        text = run(program, ["--memory", "256M", "--kernel", "%s/boot/vmlinuz-%s" % (root, version), "--initrd", make_initrd(tmp, root, SCRIPT),
                             "--append", "console=ttyS0", "--record", recording, "--embed"] + tpm.options + device)
    finally:
        tpm.close()
    check(name + ": the guest comes to its end", "hindcast-guest: done" in text, text[-3000:])
    random = answers(text, "random")
    check(name + ": 32 bytes at random", len(random) == 1 and re.fullmatch(r"80010000002c000000000020(?!0{64})[0-9a-f]{64}", random[0]), text[-3000:])
    values = re.findall(r"^([0-9A-F]{64})\r?$", text, re.M)
    check(name + ": a PCR that an event has changed", len(values) == 2 and int(values[0], 16) == 0 and int(values[1], 16), values)
    capability = answers(text, "capability")
    check(name + ": it is of family 2.0", len(capability) == 1 and capability[0].endswith("00000100322e3000"), capability)
    for pattern in expected:
        check("%s: %s" % (name, pattern), re.search(pattern, text) is not None, text[-3000:])
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    check(name + ": the recording replays, without the TPM", done.returncode == 0, done.stdout[-500:])
    again = run(program, ["--replay", recording])
    check(name + ": and says the same", answers(again, "random") == random)
    print(text if "-v" in sys.argv else "", end="")


EXTEND = r"(exec 3<>/dev/tpm0; printf '\200\2\0\0\0\043\0\0\1\74\0\0\0\027\0\0\0\011\100\0\0\011\0\0\0\0\0\0\006guest!' >&3; dd bs=4096 count=1 <&3 2>/dev/null | wc -c)"


times = 0


def said(guest, command):
    """What a command of the guest's shell says."""
    global times
    times += 1
    start = len(guest.console)
    guest.type(command + "; echo it is' 'said %d times\n" % times)
    _, match = guest.wait_console(rb"\n([^\n]*)\r?\nit is said %d times" % times, start=start)
    return match.group(1).strip().decode()


def pcr(guest):
    return said(guest, "cat /sys/class/tpm/tpm0/pcr-sha256/23")


def stand(guest):
    guest.rsp.interrupt()
    guest.rsp.wait()
    return guest.rsp.position()


def live(tmp, program):
    root, version = fetched("amd64", "linux-image-amd64")
    recording, tpm = os.path.join(tmp, "r.hcrec"), Swtpm(tmp)
    more = ["--device", "tpm-tis,tpmdev=t", "--icount", "shift=0"]
    guest = common.Guest(program, "%s/boot/vmlinuz-%s" % (root, version), make_initrd(tmp, root, "#!/bin/sh\n"),
                         more + tpm.options + ["--record", recording, "--embed"])
    guest.rsp.send("c")
    guest.wait_console(rb"guest# ")
    none = pcr(guest)
    fork = stand(guest)
    guest.rsp.send("c")
    said(guest, EXTEND)
    once = pcr(guest)
    check("live: an event changes a PCR", int(none, 16) == 0 and int(once, 16), (none, once))
    stand(guest)
    # Another history from the fork on, which becomes the one that is live.
    guest.rsp.monitor("seek %d" % fork)
    guest.rsp.ask("c")
    guest.rsp.monitor("branch other")
    text = guest.rsp.monitor("branch live")
    check("live: a branch is", "is live" in text, text)
    guest.rsp.send("c")
    check("live: there it was never changed", pcr(guest) == none)
    check("live: and the TPM works", said(guest, EXTEND) == "195")
    check("live: as it did", pcr(guest) == once)
    stand(guest)
    guest.close()
    tpm.close()
    # The recording, which is the trunk, with a TPM that has seen nothing of it.
    shutil.rmtree(os.path.join(tmp, "tpm"))
    tpm = Swtpm(tmp)
    guest = common.Guest.__new__(common.Guest)
    guest.start([program, "--replay", recording, "--continue-live"] + tpm.options)
    guest.rsp.send("c")
    check("live: the recording goes on with the TPM that it had", pcr(guest) == once)
    said(guest, EXTEND)
    check("live: which goes on", pcr(guest) not in (none, once))
    stand(guest)
    guest.close()
    tpm.close()


UBOOT = os.environ.get("UBOOT", "/usr/lib/u-boot/qemu_arm64/u-boot.bin")


def uboot(tmp, program):
    """U-Boot finds the virt board's TPM in the device tree."""
    if not os.path.exists(UBOOT):
        print("skipped: there is no U-Boot (Debian's u-boot-qemu)")
        return
    recording, tpm = os.path.join(tmp, "r.hcrec"), Swtpm(tmp)
    guest = fw.Guest(program, "--machine", "virt", "--bios", UBOOT, "--record", recording, "--embed", "--device", "tpm-tis-device,tpmdev=t",
                     "--icount", "shift=0", *tpm.options)
    guest.rsp.send("c")
    guest.expect(rb"any key to stop autoboot", "\n")
    for command in ("fdt addr $fdtcontroladdr; fdt print /platform-bus@c000000", "tpm2 init", "tpm2 startup TPM2_SU_CLEAR",
                    "tpm2 get_capability 0x6 0x100 0x40200000 1", "tpm2 pcr_extend 23 0x40200000", "tpm2 pcr_read 23 0x40210000"):
        guest.expect(rb"=> ", command + "\n")
    guest.expect(rb"=> ", "echo that is' 'all\n")
    guest.expect(rb"that is all")
    text = guest.console.decode("latin-1")
    stand(guest)
    guest.close()
    tpm.close()
    check("uboot: it is in the device tree", re.search(r'tpm_tis@0 \{\s+compatible = "tcg,tpm-tis-mmio";\s+reg = <0x00000000 0x00005000>;', text) is not None, text[-2000:])
    check("uboot: and of family 2.0", "Property 0x00000100: 0x322e3000" in text, text[-2000:])
    check("uboot: a PCR is extended", re.search(r"PCR #23 content \(\d+ known updates\):\s+(?!(00 ){16})", text) is not None, text[-2000:])
    done = subprocess.run([program, "verify", recording], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900)
    check("uboot: the recording replays", done.returncode == 0, done.stdout[-500:])


def main():
    if not shutil.which("swtpm"):
        print("skipped: there is no swtpm")
        sys.exit(77)
    for name in [a for a in sys.argv[2:] if a != "-v"] or list(GUESTS) + ["uboot", "live"]:
        with tempfile.TemporaryDirectory() as tmp:
            if name in ("live", "uboot"):
                (live if name == "live" else uboot)(tmp, sys.argv[1])
            else:
                through(tmp, sys.argv[1], name)
    print("%d passed, %d failed" % (common.passed, common.failed))
    sys.exit(1 if common.failed else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A USB device of the host: what the options say, transfers as recorded input, and replays without it. The host's libusb is a fake
(fake_libusb.c) that stands in for the shared library."""
import os
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import Server, build_c_guest, contains, equal, lacks
from test_cli import refused, run
from test_usb import FEW, GUEST

# It asks for "fake", is refused something, sends two packets and takes what comes of them, each byte to the serial port.
KERNEL = build_c_guest(GUEST + r"""
static unsigned char answer[64];

static void vendor(unsigned number)
{
    setup[0] = 0xc0;
    setup[1] = number;
    setup[2] = 0;
    setup[6] = 4;
    fill(0, 0x2d, 7, 0, 0, 8, setup, 0);
    fill(1, 0x69, 7, 0, 1, 8, answer, 1);
    go(2);
    fill(0, 0xe1, 7, 0, 1, 0, 0, 1);
    if (!(td[1].control & 1u << 22))
        go(1);
}

int main(void)
{
    start();
    vendor(1);
    for (unsigned i = 0; i < 4; i++)
        put(answer[i]);
    vendor(0x43);
    put(10);
    for (unsigned n = 0; n < 2; n++) {
        fill(0, 0xe1, 7, 2, n, 6, n ? "again\n" : "hello\n", 1);
        go(1);
        fill(0, 0x69, 7, 1, n, 64, answer, 1);
        go(1);
        for (unsigned i = 0; i < ((td[0].control + 1) & 0x7ff); i++)
            put(answer[i]);
    }
    fill(0, 0x69, 7, 1, 0, 64, answer, 1);
    go(1); /* nothing more comes */
    for (;;)
        ;
}
""", "usb-host")[1]
DEVICE = ("--device", "usb-host,vendorid=0x1d6b,productid=0xfade,id=h")


def fake(tmp):
    """Makes the fake the library of those that are started from now on."""
    with open(os.path.join(tmp, "log"), "w"):
        pass
    subprocess.run(["cc", "-shared", "-fPIC", *subprocess.run(["pkg-config", "--cflags", "libusb-1.0"], capture_output=True, text=True,
                                                             check=True).stdout.split(), "-o", os.path.join(tmp, "libusb-1.0.so.0"),
                    "-Wl,-soname,libusb-1.0.so.0", os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_libusb.c")], check=True)
    os.environ["LD_LIBRARY_PATH"] = tmp
    os.environ["FAKE_LIBUSB_LOG"] = os.path.join(tmp, "log")


def real():
    for name in "LD_LIBRARY_PATH", "FAKE_LIBUSB_LOG", "FAKE_LIBUSB_OTHER", "FAKE_LIBUSB_FORBIDDEN":
        os.environ.pop(name, None)


def log_of(tmp):
    with open(os.path.join(tmp, "log")) as f:
        return f.read()


def greeted(s):
    """A debugger's connection; the device's answers have come."""
    rsp = s.client()
    rsp.send("c")
    s.wait_output(rb"fake!\nHELLO\nAGAIN\n")
    rsp.interrupt()
    rsp.wait()
    return rsp


def claim_transfers_go_to_the_device_and_its_answers_are_recorded():
    with tempfile.TemporaryDirectory() as tmp:
        name = os.path.join(tmp, "r.hcrec")
        try:
            fake(tmp)
            with Server(*FEW, "--usb", *DEVICE, "--record", name, guest=KERNEL, serial="stdio") as s:
                rsp = greeted(s)
                contains(rsp.monitor("info usb"), r"Device 0\.7, Port 1, Speed 12 Mb/s, Product USB device 1d6b:fade of the host, ID: h, configured")
                contains(rsp.monitor("info devices h"), r"messages to the host, IN 1 under way")
                there, state, asked = rsp.position(), rsp.monitor("info hash"), log_of(tmp)
                rsp.ask("bc")
                rsp.monitor("seek %d" % there)
                rsp.ask("c")
                equal(rsp.monitor("info hash"), state)
                equal(log_of(tmp), asked) # history asks nobody
                rsp.monitor("quit")
            contains(log_of(tmp), r"(?s)claim 0\n.*request 12\n.*request 12\n.*out 6\nin 64\n.*out 6\nin 64\n.*cancel 129\nrelease 0\nexit 0")
        finally:
            real()
        equal(run("verify", name)[0], 0)
        with Server("--replay", name, guest=None, serial="stdio") as s: # without the device
            rsp = s.client()
            rsp.monitor("seek %d" % there)
            rsp.ask("c")
            equal(rsp.monitor("info hash"), state)


def claim_a_recording_goes_on_with_the_device_or_without_it():
    with tempfile.TemporaryDirectory() as tmp:
        name = os.path.join(tmp, "r.hcrec")
        try:
            fake(tmp)
            with Server(*FEW, "--usb", *DEVICE, "--record", name, guest=KERNEL, serial="stdio") as s:
                rsp = greeted(s)
                end = rsp.position()
                rsp.monitor("quit")
            with Server("--replay", name, "--continue-live", guest=None, serial="stdio") as s:
                rsp = s.client()
                before = log_of(tmp).count("in 64")
                rsp.monitor("replay_break %d" % (end + 3000000))
                rsp.ask("c")
                equal(log_of(tmp).count("in 64"), before + 1) # what nobody will answer is asked again
                lacks(rsp.monitor("info devices h"), r"gone")
                rsp.monitor("quit")
            os.environ["FAKE_LIBUSB_OTHER"] = "1"
            with Server("--replay", name, "--continue-live", guest=None, serial="stdio") as s:
                rsp = s.client()
                contains(s.errors, r"there is no such USB device on this machine: to the guest it is gone")
                rsp.monitor("replay_break %d" % (end + 3000000))
                rsp.ask("c")
                contains(rsp.monitor("info devices h"), r"the device is gone")
                rsp.monitor("quit")
        finally:
            real()


def claim_what_cannot_be_had_is_refused():
    with tempfile.TemporaryDirectory() as tmp:
        try:
            fake(tmp)
            refused(r"which one\? vendorid=, productid=, hostbus=, hostaddr=", "--usb", "--device", "usb-host", KERNEL)
            refused(r"--device usb-host,vendorid=1: there is no such USB device on this machine", "--usb", "--device",
                    "usb-host,vendorid=1", KERNEL)
            refused(r"hostaddr=300: write a number from 0 to 255", "--usb", "--device", "usb-host,hostbus=3,hostaddr=300", KERNEL)
            refused(r"it has no speed that this port has", "--device", "usb-ehci", "--device", "usb-host,hostbus=3,hostaddr=7,port=1", KERNEL)
            refused(r"descriptors=: they are none of a device", "--usb", "--device", "usb-host,hostaddr=7,descriptors=1234", KERNEL)
            os.environ["FAKE_LIBUSB_FORBIDDEN"] = "1"
            refused(r"it cannot be opened: Access denied \(/dev/bus/usb/003/007 must be writable\)", "--usb", "--device",
                    "usb-host,hostbus=3", KERNEL)
        finally:
            real()


if __name__ == "__main__":
    if "libusb" not in subprocess.run(["ldd", harness.HINDCAST], capture_output=True, text=True).stdout or not shutil.which("pkg-config"):
        print("built without libusb: skipped")
        sys.exit(77)
    harness.main(sys.modules[__name__])

"""A small GDB remote protocol client for tests and benchmarks.

It says exactly what it is told and shows exactly what came back, which a real
gdb does not.
"""

import re
import socket
import time


class RspError(Exception):
    """The server's answer was not what the protocol allows."""


class RspClient:
    """One connection. `timeout` seconds without a byte end a wait with RspError."""

    def __init__(self, address, timeout=60):
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
        else:
            self.sock = socket.socket()
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        if not isinstance(address, str):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.ack = True
        self.console = ""

    def close(self):
        self.sock.close()

    # -- packets --------------------------------------------------------

    def send(self, payload):
        if isinstance(payload, str):
            payload = payload.encode("latin-1")
        self.sock.sendall(b"$" + payload + b"#%02x" % (sum(payload) & 255))

    def receive(self):
        """The next packet's payload, unescaped and with runs expanded."""
        while True:
            match = re.search(rb"\$([^#]*)#(..)", self.pending, re.S)
            if match:
                break
            data = self.sock.recv(65536)
            if not data:
                raise RspError("connection closed")
            self.pending += data
        self.pending = self.pending[match.end():]
        raw = match.group(1)
        if int(match.group(2), 16) != sum(raw) & 255:
            raise RspError("bad checksum in %r" % raw)
        if self.ack:
            self.sock.sendall(b"+")
        out = bytearray()
        i = 0
        while i < len(raw):
            if raw[i:i + 1] == b"}":
                out.append(raw[i + 1] ^ 0x20)
                i += 2
            elif raw[i:i + 1] == b"*":
                out.extend(out[-1:] * (raw[i + 1] - 29))
                i += 2
            else:
                out.append(raw[i])
                i += 1
        return bytes(out)

    def ask(self, payload):
        """Send a packet, give back the reply; console output is kept in self.console."""
        self.send(payload)
        return self.wait()

    def wait(self):
        while True:
            reply = self.receive()
            if reply.startswith(b"O") and reply != b"OK":
                self.console += bytes.fromhex(reply[1:].decode()).decode("utf-8", "replace")
                continue
            return reply.decode("latin-1")

    def interrupt(self):
        self.sock.sendall(b"\x03")

    # -- conveniences -------------------------------------------------------

    def start(self):
        """What gdb says first."""
        self.features = self.ask("qSupported:multiprocess+;swbreak+;hwbreak+;error-message+;"
                                 "qRelocInsn+;vContSupported+")
        if "QStartNoAckMode+" in self.features and self.ask("QStartNoAckMode") == "OK":
            self.ack = False
        return self.ask("?")

    def monitor(self, command):
        self.console = ""
        reply = self.ask("qRcmd," + command.encode().hex())
        if reply not in ("OK", ""):
            if reply.startswith("E"):
                raise RspError(reply)
            self.console += bytes.fromhex(reply).decode("utf-8", "replace")
        return self.console

    def position(self):
        """The current position, from `monitor when`."""
        match = re.search(r"position\D*(\d+)", self.monitor("when"))
        if not match:
            raise RspError("no position in %r" % self.console)
        return int(match.group(1))

    def registers(self):
        return self.ask("g")

    def memory(self, address, length):
        return bytes.fromhex(self.ask("m%x,%x" % (address, length)))


def connect(address, seconds=10, timeout=60):
    """Connect to a server that may still be starting."""
    end = time.monotonic() + seconds
    while True:
        try:
            return RspClient(address, timeout)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)

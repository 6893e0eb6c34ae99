"""A reader of recordings, written from doc/log-format.md alone."""

import struct
import zlib

MAGIC = b"\x89HCREC\r\n"


class Recording:
    """What of a file's bytes counts: up to the last MARK or ENDR before whatever is wrong."""

    def __init__(self, data):
        if data[:8] != MAGIC or struct.unpack_from("<II", data, 8) != (3, zlib.crc32(data[:12])):
            raise ValueError("no recording of format 3")
        self.config, self.events, self.hashes = {}, [], []
        self.layout = {"component": [], "area": [], "device": [], "drive": [], "register": []}
        self.edge, self.edge_vtime, self.closed = None, None, False
        events, hashes = [], []
        self.chunks = []
        for kind, count, first, last, payload in self._chunks(data):
            if kind == "CONF":
                self.config = self._pairs(count, payload)
            elif kind == "LAYO":
                self._layout(count, payload)
            elif kind == "EVNT":
                events += self._events(count, payload)
            elif kind == "HASH":
                vtime, state = struct.unpack_from("<QQ", payload)
                hashes.append((first, vtime, "%016x" % state))
            elif kind in ("MARK", "ENDR"):
                self.edge_vtime, number = struct.unpack("<QQ", payload)
                self.edge = last
                self.events += events
                self.hashes += hashes
                events, hashes = [], []
                if number != len(self.events):
                    raise ValueError("a mark counts %d events, there are %d" % (number, len(self.events)))
                self.closed = kind == "ENDR"
            self.chunks.append(kind)

    @staticmethod
    def _chunks(data):
        at = 16
        while at + 48 <= len(data):
            header = data[at:at + 48]
            magic, kind, stored, raw, count, flags, first, last, payload_crc, crc = struct.unpack("<4s4sIIIIQQII", header)
            if magic != b"HCCK" or crc != zlib.crc32(header[:44]):
                return
            payload = data[at + 48:at + 48 + stored]
            if len(payload) != stored or zlib.crc32(payload) != payload_crc:
                return
            if flags & 1:
                payload = zlib.decompress(payload)
            if len(payload) != raw:
                return
            yield kind.decode(), count, first, last, payload
            at += 48 + stored

    @staticmethod
    def _pairs(count, payload):
        pairs, at = {}, 0
        for _ in range(count):
            key, value = struct.unpack_from("<II", payload, at)
            at += 8
            pairs[payload[at:at + key].decode()] = payload[at + key:at + key + value].decode()
            at += key + value
        return pairs

    def _layout(self, count, payload):
        """(name, version, at, size) of each entry, by kind."""
        at = 0
        for _ in range(count):
            kind, version, where, size, length = struct.unpack_from("<IIQQI", payload, at)
            at += 28
            list(self.layout.values())[kind - 1].append((payload[at:at + length].decode(), version, where, size))
            at += length

    @staticmethod
    def _events(count, payload):
        events, at = [], 0
        for _ in range(count):
            position, vtime, kind, source, length = struct.unpack_from("<QQHHI", payload, at)
            at += 24
            events.append((position, vtime, kind, source, payload[at:at + length]))
            at += length
        return events


def chunks(path):
    """(type, offset, bytes) of each chunk, as its header says it."""
    with open(path, "rb") as f:
        data = f.read()
    at = 16
    while data[at:at + 4] == b"HCCK":
        size = 48 + struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 4:at + 8].decode(), at, size
        at += size


def flip(path, offset):
    """Damage a byte."""
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 0x40]))


def load(path):
    with open(path, "rb") as f:
        return Recording(f.read())

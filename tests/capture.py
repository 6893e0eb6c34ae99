"""Captures, for tests: reads pcapng and pcap strictly (whatever the format does not allow is an error), and makes them."""

import collections
import struct

Packet = collections.namedtuple("Packet", "time interface data length direction comment")


def _options(body, order):
    at, found = 0, []
    while at < len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        if code == 0:
            assert size == 0 and at + 4 == len(body), "bytes behind the last option"
            break
        value = body[at + 4:at + 4 + size]
        assert len(value) == size, "an option is cut off"
        found.append((code, value))
        at += 4 + (size + 3) // 4 * 4
    return found


def _read_ng(data):
    at, order, names, packets = 0, "<", [], []
    while at < len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            names = []
        kind, size = struct.unpack_from(order + "II", data, at)
        assert size % 4 == 0 and at + size <= len(data), "a block of %d bytes at %d" % (size, at)
        assert struct.unpack_from(order + "I", data, at + size - 4)[0] == size, "a block's two lengths differ at %d" % at
        body = data[at + 8:at + size - 4]
        if kind == 0x0a0d0d0a:
            assert struct.unpack_from(order + "IHH", body) == (0x1a2b3c4d, 1, 0)
            _options(body[16:], order)
        elif kind == 1:
            link, _, _ = struct.unpack_from(order + "HHI", body)
            options = dict(_options(body[8:], order))
            assert link == 1 and options[9] == b"\x09"
            names.append(options[2].decode())
        elif kind == 6:
            interface, high, low, kept, length = struct.unpack_from(order + "IIIII", body)
            options = dict(_options(body[20 + (kept + 3) // 4 * 4:], order))
            direction = {1: "in", 2: "out"}[struct.unpack(order + "I", options[2])[0]]
            packets.append(Packet(high << 32 | low, names[interface], body[20:20 + kept], length, direction,
                                  options[1].decode() if 1 in options else None))
        else:
            raise AssertionError("a block of type %#x" % kind)
        at += size
    return packets


def _read_pcap(data):
    order = "<" if data[:4] == b"\x4d\x3c\xb2\xa1" else ">"
    magic, major, minor, _, _, _, link = struct.unpack_from(order + "IHHiIII", data)
    assert (magic, major, minor, link) == (0xa1b23c4d, 2, 4, 1)
    at, packets = 24, []
    while at < len(data):
        seconds, ns, kept, length = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16:at + 16 + kept]
        assert len(frame) == kept and ns < 1000000000
        packets.append(Packet(seconds * 1000000000 + ns, None, frame, length, None, None))
        at += 16 + kept
    return packets


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    return _read_ng(data) if data[:4] == b"\x0a\x0d\x0d\x0a" else _read_pcap(data)


def pcap(packets, order="<", nano=False, link=1, snap=65535):
    """A pcap file of (time in ns, frame) pairs."""
    out = struct.pack(order + "IHHiIII", 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0, 0, snap, link)
    for time, frame in packets:
        out += struct.pack(order + "IIII", time // 10**9, time % 10**9 // (1 if nano else 1000), len(frame), len(frame)) + frame
    return out


def _block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def pcapng(packets, order="<", resolution=None, link=1):
    """The same as pcapng. `resolution`: if_tsresol, a power of ten; None: not said (microseconds)."""
    options = b"" if resolution is None else struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    out = _block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1))
    out += _block(order, 1, struct.pack(order + "HHI", link, 0, 0) + options)
    for time, frame in packets:
        t = time * 10**(6 if resolution is None else resolution) // 10**9
        out += _block(order, 6, struct.pack(order + "IIIII", 0, t >> 32, t & 0xffffffff, len(frame), len(frame)) + frame)
    return out

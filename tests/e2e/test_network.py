"""Networks: captures that are played and written, what went over a wire asked of history, floods, connections of the past."""
import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import harness
import capture
import rspclient
from harness import BUILD, HINDCAST, SOURCE, Server, check, contains, equal, lacks, patience

RECORDS = os.path.join(BUILD, "examples", "long-record", "i386", "records.elf")
ON_VIRT = os.path.join(BUILD, "examples", "long-record", "aarch64", "records.elf")
FAST = ["--icount", "shift=0,sleep=off"]
STORE, AUDIT, END = 1, 2, 3
MS = 1000000


def request(what, which=0, length=24, byte=0, size=96):
    """A frame for records.c."""
    frame = b"\xff" * 6 + b"\x02\0\0\0\0\x01\x88\xb5" + bytes([what, which, length])
    return frame + bytes([byte]) * (size - len(frame))


def good_requests(start=5 * MS, apart=200000):
    """That all go well."""
    frames = [request(STORE, i % 16, 20 + i % 5, i, 60 + i * 37) for i in range(32)] + [request(AUDIT), request(END)]
    return [(start + i * apart, frame) for i, frame in enumerate(frames)]


def bad_requests():
    """Those of the example."""
    return subprocess.run(["sh", os.path.join(SOURCE, "examples", "long-record", "packets")], stdout=subprocess.PIPE, check=True).stdout


def put(directory, name, data):
    path = os.path.join(directory, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def get(path):
    with open(path, "rb") as f:
        return f.read()


def client(server):
    return contextlib.closing(server.client())


def refusal(rsp, command):
    """What the monitor says against it."""
    try:
        rsp.monitor(command)
    except rspclient.RspError as e:
        return str(e)
    raise harness.Failed("it was not refused: " + command)


def playing(path, *more, guest=RECORDS, card="e1000"):
    return Server(*FAST, "--netdev", "pcap,id=n0,in=%s" % path, "--device", card + ",netdev=n0", *more, guest=guest, serial="stdio")


def run_to_the_end(server, rsp, pattern=rb"audits, the end"):
    rsp.send("c")
    server.wait_output(pattern)
    rsp.interrupt()
    rsp.wait()


def seek(rsp, position):
    rsp.monitor("seek %s" % position)
    rsp.ask("c")


def refused(*arguments):
    """What is said of them, at start."""
    done = subprocess.run([HINDCAST, "--listen", "none", "--run", *arguments, RECORDS], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=patience(20))
    check(done.returncode != 0, "it was not refused:", arguments)
    return done.stdout.decode("utf-8", "replace")


def claim_cards_have_wires_and_addresses_of_their_own():
    with Server("--nic", "user", "--nic", "user", "--netdev", "user,id=x", "--device", "rtl8139,netdev=x") as s:
        rsp = s.client()
        equal(len(re.findall(r"^netdev \S+, card \S+:", rsp.monitor("info network"), re.M)), 3)
        addresses = set(re.findall(r"52:54:00:12:34:[0-9a-f]{2}", rsp.monitor("info devices")))
        equal(sorted(addresses), ["52:54:00:12:34:56", "52:54:00:12:34:57"])
    p = subprocess.run([harness.HINDCAST, "--nic", "user,id=n", "--device", "e1000,netdev=n", harness.STORE], capture_output=True, text=True)
    equal(p.returncode, 1)
    contains(p.stderr, r"netdev=n: the card \S+ is connected to it already")


def claim_captures_of_every_kind_come_at_their_times():
    packets = good_requests()
    kinds = [capture.pcap(packets, order, nano) for order in "<>" for nano in (False, True)]
    kinds += [capture.pcapng(packets, order, resolution) for order in "<>" for resolution in (None, 9)]
    hashes = set()
    with tempfile.TemporaryDirectory() as tmp:
        for n, data in enumerate(kinds):
            with playing(put(tmp, "in%d" % n, data) + ",start=0.01") as server, client(server) as rsp:
                run_to_the_end(server, rsp)
                contains(rsp.monitor("pcap %s/out%d" % (tmp, n)), "34 packets")
                got = capture.read("%s/out%d" % (tmp, n))
                equal([p.data for p in got], [frame for _, frame in packets])
                equal([p.time for p in got], [t + 5 * MS for t, _ in packets], "virtual times")
                check(all(p.direction == "in" and p.comment.endswith(" delivered") for p in got))
                seek(rsp, int(re.search(r"position=(\d+)", got[-1].comment).group(1)) + 1)
                hashes.add(rsp.monitor("info hash"))
    equal(len(hashes), 1, "the same capture is the same history")


def claim_other_programs_read_what_is_written():
    readers = [r for r in (["tcpdump", "-nn", "-r"], ["tshark", "-r"]) if shutil.which(r[0])]
    with tempfile.TemporaryDirectory() as tmp:
        dumps = ["--object", "filter-dump,id=f,netdev=n0,file=%s/dump.pcap" % tmp]
        with playing(put(tmp, "in", capture.pcapng(good_requests())), *dumps) as server, client(server) as rsp:
            run_to_the_end(server, rsp)
            rsp.monitor("pcap %s/all.pcapng" % tmp)
        for reader in readers:
            for name in "all.pcapng", "dump.pcap":
                done = subprocess.run(reader + [os.path.join(tmp, name)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=patience(60))
                equal((done.returncode, len([l for l in done.stdout.splitlines() if b"88b5" in l.lower()])), (0, 34), reader[0] + " " + name)


def claim_what_cannot_be_played_is_refused():
    one = [(0, request(AUDIT))]
    good, ng = capture.pcap(one), capture.pcapng(one)
    cut = struct.pack("<IIII", 0, 0, 60, 1500) + bytes(60)
    cases = [(b"", "no capture"), (b"hello, world", "no capture"), (b"\x1f\x8b\x08\0" + good, "compressed"),
             (struct.pack("<I", 0xa1b2cd34) + good[4:], "modified"), (good[:20], "cut off"), (good[:-1], "cut off"),
             (good[:30], "cut off"), (good[:24] + struct.pack("<IIII", 0, 0, 70000, 70000) + bytes(70000), "70000 bytes"),
             (good[:24] + struct.pack("<IIII", 0, 0, 0xffffffff, 4), "more than any frame"),
             (good[:24] + cut, "only 60 of 1500"), (capture.pcap(one, link=113), "link type 113 .*only Ethernet"),
             (good[:4] + struct.pack("<HH", 9, 9) + good[8:], "version 9.9"), (ng[:-1], "cut off"),
             (ng[:-4] + struct.pack("<I", 8), "at its beginning and 8"), (ng[:8] + b"abcd" + ng[12:], "byte order"),
             (ng[:28] + ng[48:], "interface 0, which the file does not describe"), (capture.pcapng(one, link=105), "link type 105"),
             (ng[:28] + struct.pack("<III", 1, 4, 4), "says that it has 4 bytes")]
    with tempfile.TemporaryDirectory() as tmp:
        for n, (data, why) in enumerate(cases):
            text = refused("--nic", "pcap,in=" + put(tmp, "bad%d" % n, data))
            check(re.search(why, text) and "in=" in text, n, why, text)
        contains(refused("--nic", "pcap,in=" + tmp), "no regular file")
        contains(refused("--nic", "pcap,in=%s/none" % tmp), "No such file")
        contains(refused("--nic", "pcap"), "in=FILE")
        contains(refused("--nic", "pcap,start=soon,in=" + put(tmp, "good", good)), "start=soon")
        contains(refused("--nic", "pcap,in=%s/good,out=%s/good" % (tmp, tmp)), "good")
        equal(get(tmp + "/good"), good, "a capture that is read is not written")


def claim_the_wire_looks_the_same_from_anywhere():
    with tempfile.TemporaryDirectory() as tmp:
        path = put(tmp, "in", bad_requests())
        with playing(path, "--object", "filter-dump,id=f,netdev=n0,file=%s/dump.pcapng" % tmp) as server, client(server) as rsp:
            run_to_the_end(server, rsp, rb"is not what was stored")
            edge = rsp.position()
            contains(rsp.monitor("info network"), "24 frames came to it, 24 delivered, 0 dropped; it sent 0")
            rsp.monitor("pcap %s/edge" % tmp)
            contains(refusal(rsp, "pcap %s/edge" % tmp), "exists")
            contains(rsp.monitor("pcap %s/edge force" % tmp), "24 packets")
            seek(rsp, 3400000)
            contains(rsp.monitor("info network"), "17 frames came to it")
            contains(rsp.monitor("pcap %s/past" % tmp), "24 packets")
            contains(rsp.monitor("pcap %s/part start 3400000" % tmp), "17 packets")
            contains(rsp.monitor("pcap %s/rest 3400000 end" % tmp), "7 packets")
            rsp.monitor("save %s/r" % tmp)
            seek(rsp, edge)
            text = rsp.monitor("packet 18")
        read = [capture.read("%s/%s" % (tmp, name)) for name in ("edge", "part", "rest", "dump.pcapng")]
        equal(read[1] + read[2], read[0])
        equal(read[3], read[0], "filter-dump")
        equal([p.data for p in read[0]], [p.data for p in capture.read(put(tmp, "nano", nano_of(bad_requests())))])
        os.remove(path)
        with Server("--replay", tmp + "/r", guest=None) as server, client(server) as rsp:
            contains(rsp.monitor("pcap %s/replay" % tmp), "24 packets")
            equal(rsp.monitor("packet 18"), text)
            contains(text, r"packet 18 of n0, 96 bytes, position 3400000, .*: delivered\n(?s:.*)0010  46 63")
            contains(refusal(rsp, "packet 25"), "24 packets came")
            contains(refusal(rsp, "packet 0"), "numbered from 1")
            contains(refusal(rsp, "packet n1 1"), "no card")
            contains(rsp.monitor("packets limit 2 newest first"), r"number=24 .*\n.*number=23 .*\nend=limit packets=2")
            contains(rsp.monitor("packets n0 --json limit 1"), r'"netdev": "n0", "direction": "in", "number": 1, "length": 96')
            for words in "packet 1 if 1", "packet 1 limit 1", "packet 1 from 7":
                contains(refusal(rsp, words), "one packet is shown")
        for name in "past", "replay":
            equal(get("%s/%s" % (tmp, name)), get(tmp + "/edge"), name)


def claim_packets_and_captures_are_under_conditions_like_other_queries():
    with tempfile.TemporaryDirectory() as tmp:
        path = put(tmp, "in", bad_requests())
        with playing(path) as server, client(server) as rsp:
            run_to_the_end(server, rsp, rb"is not what was stored")
            all_of = [int(p) for p in re.findall(r"^position=(\d+) .*\n", rsp.monitor("packets"), re.M)]
            equal(len(all_of), 24)
            stood = {}
            for position in all_of:
                seek(rsp, position + 1)
                stood[position] = struct.unpack_from("<I", bytes.fromhex(rsp.registers()), 32)[0]
            check(len(set(stood.values())) > 1, stood)
            for pc in sorted(set(stood.values())):
                want = [p for p in all_of if stood[p] == pc]
                got = rsp.monitor("packets if $eip == %d" % pc)
                equal([int(p) for p in re.findall(r"^position=(\d+) ", got, re.M)], want)
                contains(rsp.monitor("pcap %s/p%x if $pc == %d" % (tmp, pc, pc)), "%d packets" % len(want))
                equal([int(re.search(r"position=(\d+)", p.comment).group(1)) for p in capture.read("%s/p%x" % (tmp, pc))], want)
            contains(rsp.monitor("packets limit 3 newest first if $eip == %d" % stood[all_of[-1]]), "position=%d " % all_of[-1])
            contains(rsp.monitor("packets if 0"), "packets=0")


def claim_a_packet_is_found_from_wherever_the_guest_stands():
    with tempfile.TemporaryDirectory() as tmp:
        with playing(put(tmp, "in", bad_requests())) as server, client(server) as rsp:
            run_to_the_end(server, rsp, rb"is not what was stored")
            positions = [int(p) for p in re.findall(r"^position=(\d+) .*\n", rsp.monitor("packets"), re.M)]
            shown = [rsp.monitor("packet %d" % (n + 1)) for n in range(24)]
            for n, text in enumerate(shown):
                contains(text, "packet %d of n0, .* position %d," % (n + 1, positions[n]))
            for place in [0, positions[0], positions[0] + 1, positions[11] - 1, positions[11], positions[23], positions[23] + 1]:
                seek(rsp, place)
                equal([rsp.monitor("packet %d" % (n + 1)) for n in (0, 10, 11, 12, 23)], [shown[n] for n in (0, 10, 11, 12, 23)], place)
                contains(refusal(rsp, "packet 25"), "24 packets came")


def nano_of(data):
    """A capture of ours, of microseconds, as one of nanoseconds."""
    at, packets = 24, []
    while at < len(data):
        _, us, size, _ = struct.unpack_from("<IIII", data, at)
        packets.append((us * 1000, data[at + 16:at + 16 + size]))
        at += 16 + size
    return capture.pcap(packets, nano=True)


def claim_a_branch_has_a_wire_of_its_own():
    with tempfile.TemporaryDirectory() as tmp:
        path = put(tmp, "in", capture.pcap(good_requests(), nano=True))
        with playing(path + ",start=0.005") as server, client(server) as rsp:
            run_to_the_end(server, rsp)
            trunk = rsp.position()
            rsp.monitor("pcap %s/trunk" % tmp)
            cut = int(re.search(r"position=(\d+)", capture.read(tmp + "/trunk")[9].comment).group(1)) + 1
            seek(rsp, cut)
            rsp.monitor("branch other")
            contains(rsp.monitor("pcap %s/before" % tmp), "10 packets")
            contains(rsp.monitor("branch live"), "is live")
            run_to_the_end(server, rsp, rb"the end(?s:.*)the end")
            contains(rsp.monitor("pcap %s/branch" % tmp), "34 packets")
            rsp.monitor("branch switch trunk")
            rsp.ask("c")
            contains(rsp.monitor("pcap %s/again" % tmp), "34 packets")
            check(trunk >= rsp.position() >= cut)
        equal(get(tmp + "/again"), get(tmp + "/trunk"), "what happened stays as it was")
        equal(capture.read(tmp + "/branch"), capture.read(tmp + "/trunk"), "the capture goes on where the branch began")
        equal(capture.read(tmp + "/before"), capture.read(tmp + "/trunk")[:10])


def claim_a_recording_goes_on_where_it_was_in_the_capture():
    with tempfile.TemporaryDirectory() as tmp:
        path = put(tmp, "in", capture.pcap(good_requests(), nano=True))
        with playing(path) as server, client(server) as rsp:
            run_to_the_end(server, rsp)
            rsp.monitor("pcap %s/whole" % tmp)
        with playing(path) as server, client(server) as rsp:
            seek(rsp, int(re.search(r"position=(\d+)", capture.read(tmp + "/whole")[12].comment).group(1)) + 1000)
            rsp.monitor("save %s/r" % tmp)
        with Server("--replay", tmp + "/r", "--continue-live", "--netdev", "pcap,id=n0,in=" + path, guest=None,
                    serial="stdio") as server, client(server) as rsp:
            run_to_the_end(server, rsp)
            lacks(server.errors, "connections? of the guest's")
            rsp.monitor("pcap %s/both" % tmp)
        equal(capture.read(tmp + "/both"), capture.read(tmp + "/whole"))


def claim_filter_dump_writes_what_it_is_told():
    with tempfile.TemporaryDirectory() as tmp:
        path = put(tmp, "in", capture.pcap(good_requests()))
        dump = "filter-dump,id=f,netdev=n0,file=%s/short.pcap,maxlen=20" % tmp
        with playing(path, "--object", dump) as server, client(server) as rsp:
            run_to_the_end(server, rsp)
            contains(rsp.monitor("info network"), "filter-dump f of netdev n0: 34 packets")
            seek(rsp, "start")
            seek(rsp, "end")
        other = "filter-dump,id=%s,netdev=n0,file=" + tmp + "/%s"
        for names in (("twice", "twice"), ("twice", "./twice")):
            said = refused("--netdev", "pcap,id=n0,in=" + path, "--device", "e1000,netdev=n0", "--object", other % ("a", names[0]), "--object",
                           other % ("b", names[1]))
            contains(said, "one writes to file=|somebody|another")
            check(not os.path.exists(tmp + "/twice"), "nothing is left behind")
        got = capture.read(tmp + "/short.pcap")
        equal([(p.data, p.length) for p in got], [(f[:20], len(f)) for _, f in good_requests()], "each once")
        before = get(tmp + "/short.pcap")
        with playing(path, "--force") as server, client(server) as rsp:
            run_to_the_end(server, rsp)
            for command in ("pcap", "save"):
                contains(refusal(rsp, "%s %s/short.pcap" % (command, tmp)), "exists, and would be lost")
        equal(get(tmp + "/short.pcap"), before, "what --force is not for")
        nic = ["--netdev", "pcap,id=n0,in=" + path, "--device", "e1000,netdev=n0"]
        contains(refused(*nic, "--object", dump), "exists, and would be lost")
        contains(refused(*nic, "--object", "filter-dump,id=f,netdev=n9,file=%s/x" % tmp), "no --netdev with id=n9")
        contains(refused(*nic, "--object", "filter-dump,id=f,netdev=n0"), "file=FILE")
        contains(refused(*nic, "--object", "filter-dump,id=f,netdev=n0,file=%s/x,maxlen=0" % tmp), "maxlen")
        contains(refused(*nic, "--object", "filter-dump,id=f,netdev=n0,file=" + path), "in")
        contains(refused(*nic, "--object", "filter-dump,id=f,netdev=n0,file=%s/x" % tmp, "--object",
                         "filter-dump,id=f,netdev=n0,file=%s/y" % tmp), "id=f already")
        contains(refused(*nic, "--object", other % ("a", "one"), "--object", "filter-dump,id=b,netdev=n9,file=%s/two" % tmp), "no --netdev with id=n9")
        check(not [name for name in ("x", "y", "one", "two") if os.path.exists(tmp + "/" + name)], "no empty file of a start that was refused")
        contains(refused("--netdev", "user,id=n0,tftp=%s/none" % tmp), "no such directory")
        contains(refused("--replay", path, "--netdev", "user,id=n0"), "--continue-live")
        equal(get(path), capture.pcap(good_requests()))


def connected(server):
    """A peer at the other end of a --netdev socket,listen=."""
    host, port = re.search(r"netdev n0 listens on (\S+):(\d+)", server.errors).groups()
    peer = socket.create_connection((host, int(port)), timeout=patience(60))
    return peer


def send_all(peer, frames):
    peer.sendall(b"".join(struct.pack(">I", len(f)) + f for f in frames))


def listening_sockets(pid):
    """Addresses that a process listens at, as Linux has them: hexadecimal, IPv4 or IPv6."""
    own = set()
    for n in os.listdir("/proc/%d/fd" % pid):
        try:
            own.add(os.readlink("/proc/%d/fd/%s" % (pid, n)))
        except FileNotFoundError:
            pass  # closed meanwhile
    found = []
    for kind, states in ("tcp", {"0A"}), ("tcp6", {"0A"}), ("udp", {"07", "01"}), ("udp6", {"07", "01"}):
        with open("/proc/%d/net/%s" % (pid, kind)) as f:
            for line in list(f)[1:]:
                words = line.split()
                if words[3] in states and "socket:[%s]" % words[9] in own:
                    found.append(words[1].split(":")[0])
    return found


def claim_nothing_listens_beyond_this_host_unless_that_is_asked_for():
    cards = [w for n in "abc" for w in ("--device", "e1000,netdev=" + n)]
    options = ["--nic", "user,hostfwd=tcp::0-:22,hostfwd=udp::0-:53", "--netdev", "socket,id=a,listen=:0", "--netdev",
               "stream,id=b,server=on,addr.type=inet,addr.port=0", "--netdev", "socket,id=c,udp=:9,localaddr=:0", *cards, "--listen", ":0", "--chardev",
               "socket,id=s,port=0,server=on,wait=off"]
    with Server(*options, serial="chardev:s") as server, client(server):
        found = listening_sockets(server.process.pid)
        check(len(found) >= 6, found)
        equal(set(found), {"0100007F"})
    with Server("--nic", "user,hostfwd=tcp:0.0.0.0:0-:22") as server:
        contains(" ".join(listening_sockets(server.process.pid)), r"\b00000000\b")


def claim_datagrams_carry_frames():
    """By QEMU's older words and its newer ones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        port = peer.getsockname()[1]
        for words in "socket,id=n0,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d", \
                "dgram,id=n0,remote.type=inet,remote.host=127.0.0.1,remote.port=%d,local.type=inet,local.host=127.0.0.1,local.port=%d":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind(("127.0.0.1", 0))
                own = free.getsockname()[1]
            with Server("--netdev", words % (port, own), "--device", "e1000,netdev=n0", guest=RECORDS, serial="stdio") as server, client(server) as rsp:
                rsp.send("c")
                server.wait_output(rb"waiting for requests")
                for frame in request(STORE, 1, 24, 7), request(AUDIT), request(END):
                    peer.sendto(frame, ("127.0.0.1", own))
                server.wait_output(rb"records: 1 stored, audit passed")
                server.wait_output(rb"the end")
                rsp.interrupt()
                rsp.wait()
                contains(rsp.monitor("info network"), "3 frames came to it, 3 delivered, 0 dropped")


def claim_a_flood_loses_nothing_that_was_accepted():
    for guest, card in (RECORDS, "e1000"), (ON_VIRT, "virtio-net-device"):
        if not os.path.exists(guest):
            continue
        with Server("--netdev", "socket,id=n0,listen=127.0.0.1:0", "--device", card + ",netdev=n0", guest=guest,
                    serial="stdio") as server, client(server) as rsp, connected(server) as peer:
            count = 8000
            rsp.send("c")
            server.wait_output(rb"waiting for requests")
            send_all(peer, [request(STORE, i % 16, 24, i & 255, 60 + i % 1400) for i in range(count)] + [request(AUDIT), request(END)])
            server.wait_output(rb"records: %d stored, audit passed" % count, 120)
            server.wait_output(rb"the end")
            rsp.interrupt()
            rsp.wait()
            text = rsp.monitor("info network")
            contains(text, r"%d frames came to it, %d delivered, 0 dropped" % (count + 2, count + 2))
            contains(text, r"%d frames came, %d were accepted for the guest, 0 refused .* 0 of those accepted wait" % (count + 2, count + 2))


def claim_what_the_card_drops_is_told_with_why():
    for guest, card in (RECORDS, "e1000"), (ON_VIRT, "virtio-net-device"):
        if not os.path.exists(guest):
            continue
        with tempfile.TemporaryDirectory() as tmp, \
                Server("--netdev", "socket,id=n0,listen=127.0.0.1:0", "--device", card + ",netdev=n0", "--object",
                       "filter-dump,id=f,netdev=n0,file=%s/dump.pcapng" % tmp, guest=guest, serial="stdio") as server, \
                client(server) as rsp, connected(server) as peer:
            rsp.send("c")
            server.wait_output(rb"waiting for requests")
            send_all(peer, [request(AUDIT), b"short", b"\x02" * 4000, request(END)])
            server.wait_output(rb"the end")
            rsp.interrupt()
            rsp.wait()
            contains(rsp.monitor("info network"), "4 frames came to it, 2 delivered, 2 dropped")
            contains(rsp.monitor("packet 2"), "packet 2 of n0, 5 bytes, .*: dropped: shorter than a header")
            contains(rsp.monitor("packets"), "number=3 length=4000 result=dropped why=")
            contains(rsp.monitor("pcap %s/all" % tmp), "4 packets")
            got = capture.read(tmp + "/all")
            contains(got[1].comment, "direction=in number=2 dropped: shorter than a header")
            equal((got[2].data, got[2].length), (b"\x02" * 4000, 4000), "a frame of several pieces")
            equal(capture.read(tmp + "/dump.pcapng"), got)


def tcp(sport, dport, seq, ack, flags, data=b"", v6=False):
    """A segment from 10.0.2.2 to the guest."""
    segment = struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, 8192, 0, 0) + data
    if v6:
        ip = struct.pack(">IHBB", 0x60000000, len(segment), 6, 64) + b"\xfe\xc0" + bytes(13) + b"\x02" + b"\xfe\xc0" + bytes(13) + b"\x0f"
    else:
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0, b"\x0a\0\x02\x02", b"\x0a\0\x02\x0f")
    return b"\x52\x54\0\x12\x34\x56\x52\x55\x0a\0\x02\x02" + (b"\x86\xdd" if v6 else b"\x08\0") + ip + segment


def sum16(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def claim_connections_of_the_past_are_reset():
    FIN, SYN, RST, ACK = 1, 2, 4, 16
    past = [tcp(80, 4000, 1000, 77, SYN | ACK), tcp(80, 4000, 1001, 77, ACK, b"hello"), tcp(80, 4000, 1001, 78, ACK, b"hello"),
            tcp(81, 4001, 5, 9, SYN | ACK), tcp(81, 4001, 6, 9, RST | ACK),
            tcp(82, 4002, 5, 9, SYN | ACK), tcp(82, 4002, 6, 9, FIN | ACK),
            tcp(83, 4003, 0xfffffffe, 9, SYN | ACK, v6=True), tcp(83, 4003, 0xffffffff, 10, ACK, b"wraps", v6=True),
            b"\xff" * 12 + b"\x08\0\x45", b"\xff" * 12 + b"\x08\0\x4f" + bytes(40), request(AUDIT)]
    nic = ["--netdev", "socket,id=n0,listen=127.0.0.1:0"]
    with tempfile.TemporaryDirectory() as tmp:
        with Server(*nic, "--device", "e1000,netdev=n0", guest=RECORDS, serial="stdio") as server, client(server) as rsp, \
                connected(server) as peer:
            rsp.send("c")
            server.wait_output(rb"waiting for requests")
            send_all(peer, past)
            server.wait_output(rb"audit passed")
            rsp.interrupt()
            rsp.wait()
            rsp.monitor("save %s/r" % tmp)
        with Server("--replay", tmp + "/r", "--continue-live", *nic, guest=None, serial="stdio") as server, client(server) as rsp, \
                connected(server) as peer:
            contains(server.errors, r"2 TCP connections of the guest's with a network that is not there any more are reset")
            contains(server.errors, r"10\.0\.2\.15:4000 to 10\.0\.2\.2:80")
            contains(server.errors, r"\[fec0:0:0:0:0:0:0:f\]:4003 to \[fec0:0:0:0:0:0:0:2\]:83")
            rsp.send("c")
            send_all(peer, [request(AUDIT)])
            server.wait_output(rb"audit passed(?s:.*)audit passed")
            rsp.interrupt()
            rsp.wait()
            rsp.monitor("pcap %s/all" % tmp)
        got = [p.data for p in capture.read(tmp + "/all")]
        equal(got[:len(past)], past)
        equal(got[-1], request(AUDIT))
        resets = {g[-20:-16]: g for g in got[len(past):-1]}
        equal(len(resets), 2)
        plain, six = resets[struct.pack(">HH", 80, 4000)], resets[struct.pack(">HH", 83, 4003)]
        equal(plain[:14] + plain[26:34], past[0][:14] + past[0][26:34], "from whom, to whom")
        equal(struct.unpack(">II", plain[-16:-8]), (1006, 78), "what the guest expects")
        equal(struct.unpack(">II", six[-16:-8]), (4, 10), "what the guest expects")
        check(all(g[-7] == RST | ACK for g in resets.values()))
        equal(sum16(plain[14:34]), 0xffff, "IP's checksum")
        equal(sum16(plain[26:34] + struct.pack(">HH", 6, 20) + plain[-20:]), 0xffff, "TCP's checksum")
        equal(sum16(six[22:54] + struct.pack(">HH", 6, 20) + six[-20:]), 0xffff, "TCP's checksum")


def claim_a_tap_is_used_where_it_is_permitted():
    name = "hct%d" % (os.getpid() % 100000)
    contains(refused("--nic", "tap,script=/etc/qemu-ifup"), "runs no scripts")
    contains(refused("--nic", "tap,fd=0"), "no descriptor of a tap")
    contains(refused("--nic", "tap,ifname=a-name-that-is-too-long"), "1 to 15 characters")
    tried = subprocess.run([HINDCAST, "--listen", "none", "--run", "--icount", "sleep=off", "--nic", "tap,ifname=" + name, "nothing"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience(20)).stdout.decode()
    lacks(tried, "stopped by")
    if os.geteuid() or not os.path.exists("/dev/net/tun") or not hasattr(socket, "AF_PACKET"):
        return
    try:
        server = Server("--netdev", "tap,id=n0,script=no,downscript=no,ifname=" + name, "--device", "e1000,netdev=n0", guest=RECORDS,
                        serial="stdio")
    except harness.Failed as e:
        contains(str(e), r"ifname=|/dev/net/tun")
        return
    with server, client(server) as rsp:
        rsp.send("c")
        server.wait_output(rb"waiting for requests")
        if subprocess.run(["ip", "link", "set", name, "up"]).returncode:
            print("no ip: left out")
            return
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((name, 0))
            for frame in request(STORE, 1), request(AUDIT), request(END):
                wire.send(frame)
        server.wait_output(rb"1 stored, audit passed")
        server.wait_output(rb"the end")
        rsp.interrupt()
        rsp.wait()


if __name__ == "__main__":
    if not os.path.exists(RECORDS):
        sys.exit(77)
    harness.main(sys.modules[__name__])

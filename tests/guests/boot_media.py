"""Media that firmware boots from, made by nothing but files: GPT disks with an EFI system partition, boot sectors, U-Boot scripts, CDs."""

import binascii
import os
import shutil
import struct
import subprocess
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
LINUX = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
ESP = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
EFI_NAMES = {"aarch64": "BOOTAA64.EFI", "x86_64": "BOOTX64.EFI"}
TOOLS = ["mformat", "mcopy", "mmd", "xorriso"]


def missing_tool(*more):
    """The name of a tool that is not here, or None."""
    return next((tool for tool in TOOLS + list(more) if not shutil.which(tool)), None)


def quietly(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def efi_program(arch, text, directory, final=False):
    """boot/hello.S with that text; None: no compiler for it."""
    prefix = "" if os.uname().machine == arch else arch + "-linux-gnu-"
    if not shutil.which(prefix + "gcc"):
        return None
    made, out = os.path.join(directory, "hello.o"), os.path.join(directory, "hello.efi")
    quietly(prefix + "gcc", "-c", *(["-DFINAL"] if final else []), "-o", made, os.path.join(HERE, "boot", "hello.S"))
    quietly(prefix + "objcopy", "-O", "binary", "-j", ".text", made, out)
    with open(out, "rb") as f:
        program = f.read()
    field = struct.pack("<H", 2) * 64
    assert program.count(field) == 1 and len(text) < 64
    return program.replace(field, (text + "\0" * (64 - len(text))).encode("utf-16-le"))


def crc(data):
    return binascii.crc32(data) & 0xffffffff


def write_gpt(path, partitions):
    """A GUID partition table (UEFI 2.9, 5.3): the two copies of it, and the protective MBR. Of partitions: kind, first and last
    sector."""
    sectors = os.path.getsize(path) // 512
    entries = b"".join(kind.bytes_le + uuid.UUID(int=0x1234 + first).bytes_le + struct.pack("<QQQ", first, last, 0) + bytes(72)
                       for kind, first, last in partitions).ljust(128 * 128, b"\0")

    def header(here, other, table):
        h = struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, here, other, 34, sectors - 34,
                        uuid.UUID(int=0x5678).bytes_le, table, 128, 128, crc(entries))
        return (h[:16] + struct.pack("<I", crc(h)) + h[20:]).ljust(512, b"\0")

    with open(path, "r+b") as f:
        f.seek(446)
        f.write(struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xee, b"\xff\xff\xff", 1, sectors - 1))
        f.seek(510)
        f.write(b"\x55\xaa" + header(1, sectors - 1, 2) + entries)
        f.seek((sectors - 33) * 512)
        f.write(entries + header(sectors - 1, 1, sectors - 33))


def fat(image, offset, files):
    """Put files, by their paths, into the FAT file system that is made at `offset` of the image."""
    drive = "%s@@%d" % (image, offset)
    made = set()
    for path, data in files.items():
        above = ""
        for part in path.split("/")[:-1]:
            above += "/" + part
            if above not in made:
                quietly("mmd", "-i", drive, "::" + above)
                made.add(above)
        subprocess.run(["mcopy", "-i", drive, "-", "::/" + path], input=data, check=True)


def esp_disk(path, files, mib=8, root=None):
    """A GPT disk whose first partition, a FAT file system from 1 MiB on, has these files. `root`: an image that is the second,
    from `mib` on."""
    size = mib * MIB + (os.path.getsize(root) + MIB if root else 0)
    with open(path, "wb") as f:
        f.truncate(size)
    first, sectors = 2048, mib * MIB // 512 - 2048 - (0 if root else 2048)
    quietly("mformat", "-i", "%s@@%d" % (path, MIB), "-T", str(sectors), "-h", "16", "-s", "63", "-H", str(first), "::")
    fat(path, MIB, files)
    partitions = [(ESP, first, first + sectors - 1)]
    if root:
        quietly("dd", "if=" + root, "of=" + path, "bs=1M", "seek=%d" % mib, "conv=notrunc,sparse")
        partitions.append((LINUX, mib * MIB // 512, (mib * MIB + os.path.getsize(root)) // 512 - 1))
    write_gpt(path, partitions)
    return path


def boot_sector(directory, *options):
    """boot/sector.S, 512 bytes; None: no compiler for it."""
    if os.uname().machine != "x86_64" or not shutil.which("gcc"):
        return None
    made, out = os.path.join(directory, "sector.o"), os.path.join(directory, "sector.bin")
    quietly("gcc", "-m16", *options, "-c", "-o", made, os.path.join(HERE, "boot", "sector.S"))
    quietly("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", out, made)
    with open(out, "rb") as f:
        return f.read()


def numbered_disk(sector, kib, partition=False):
    """A disk of which each sector ends with its number, and the first one is that. With one active partition, if wanted."""
    disk = bytearray(kib << 10)
    for n in range(2 * kib):
        struct.pack_into("<H", disk, n * 512 + 510, n & 0xffff)
    disk[:512] = sector
    if partition:
        struct.pack_into("<BBBBBBBBII", disk, 446, 0x80, 0, 2, 0, 0x0c, 15, 63, 9, 1, 2 * kib - 1)
    return bytes(disk)


def uboot_script(commands):
    """What mkimage -T script makes (U-Boot, include/image.h): a legacy image of one script."""
    text = commands.encode()
    data = struct.pack(">II", len(text), 0) + text
    header = struct.pack(">IIIIIIIBBBB32s", 0x27051956, 0, 0, len(data), 0, 0, crc(data), 5, 22, 6, 0, b"script")
    return header[:4] + struct.pack(">I", crc(header)) + header[8:] + data


def el_torito(path, boot, directory, *options, files=()):
    """A CD that boots from those bytes, as xorriso makes it: with `-no-emul-boot`, `-hard-disk-boot`, or nothing for a floppy's
    image; with `-e` for UEFI. `files`: what else is on it, (name, bytes)."""
    tree = os.path.join(directory, "tree")
    shutil.rmtree(tree, ignore_errors=True)
    os.mkdir(tree)
    for name, data in [("boot.img", boot), *files]:
        with open(os.path.join(tree, name), "wb") as f:
            f.write(data)
    if "-e" not in options:
        options = ("-b", "boot.img", "-c", "boot.cat", *options)
    quietly("xorriso", "-as", "mkisofs", "-o", path, *options, tree)
    return path


def efi_cd(path, files, directory):
    """A CD for UEFI: the files are in the FAT image that it boots."""
    image = os.path.join(directory, "efi.img")
    quietly("mformat", "-C", "-f", "1440", "-i", image, "::")
    fat(image, 0, files)
    with open(image, "rb") as f:
        return el_torito(path, f.read(), directory, "-e", "boot.img", "-no-emul-boot")

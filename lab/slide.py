"""A scanned pathology slide: one big TIFF file of tiles, of which a viewer reads only those that
are on its screen, each by an HTTPS range request.

    slide_write(path)                       # noise, so that nothing on the way can compress it
    slide_tiles(open(path, "rb").read())    # [(offset, bytes)] of every tile

As a program (`slide.py NAME ADDRESS PORT CA PATH COUNT`) it is the viewer: it reads the head of the
file, then COUNT tiles in the order of the rows, and prints JSON: tiles, bytes, seconds, and the
digest of all that it read.
"""

import hashlib
import http.client
import json
import pathlib
import socket
import ssl
import struct
import sys
import time

TILE = 256
TILE_BYTES = TILE * TILE * 3
HEAD_BYTES = 16384  # of the file: where its tiles are
SHORT, LONG = 3, 4


def slide_write(path, columns=16, rows=12, seed="slide"):
    """Writes the file; returns its path."""
    count = columns * rows
    tags = ((256, LONG, columns * TILE), (257, LONG, rows * TILE), (258, SHORT, (8, 8, 8)),
        (259, SHORT, 1), (262, SHORT, 2), (277, SHORT, 3), (284, SHORT, 1), (322, LONG, TILE),
        (323, LONG, TILE), (324, LONG, ()), (325, LONG, ()))
    behind = 8 + 2 + 12 * len(tags) + 4  # what does not fit a tag
    tables = behind + 8
    pixels = tables + 8 * count
    entries = b""
    for tag, kind, value in tags:
        if tag == 258:
            entries += struct.pack("<HHII", tag, kind, 3, behind)
        elif tag in (324, 325):
            entries += struct.pack("<HHII", tag, kind, count, tables + 4 * count * (tag - 324))
        else:
            entries += struct.pack("<HHII", tag, kind, 1, value)
    offsets = [pixels + TILE_BYTES * number for number in range(count)]
    data = hashlib.shake_128(seed.encode()).digest(TILE_BYTES * count)
    path = pathlib.Path(path)
    with open(path, "wb") as file:
        file.write(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
            + struct.pack("<4H", 8, 8, 8, 0) + struct.pack(f"<{count}I", *offsets)
            + struct.pack(f"<{count}I", *[TILE_BYTES] * count) + data)
    return path


def slide_tiles(head):
    """Where each tile is, by the beginning of the file."""
    order, magic, at, count = struct.unpack_from("<2sHIH", head)
    if (order, magic, at) != (b"II", 42, 8):
        raise ValueError("no TIFF of ours")
    tables = {}
    for number in range(count):
        tag, _, length, value = struct.unpack_from("<HHII", head, 10 + 12 * number)
        if tag in (324, 325):
            tables[tag] = struct.unpack_from(f"<{length}I", head, value)
    return list(zip(tables[324], tables[325]))


class Viewer(http.client.HTTPSConnection):
    """Connects to an address and expects a name there."""

    def __init__(self, name, address, port, ca):
        super().__init__(name, port, timeout=60, context=ssl.create_default_context(cafile=ca))
        self.there = address, port

    def connect(self):
        self.sock = self._context.wrap_socket(socket.create_connection(self.there, self.timeout),
            server_hostname=self.host)

    def read(self, path, offset, count):
        self.request("GET", path, headers={"Range": f"bytes={offset}-{offset + count - 1}"})
        answer = self.getresponse()
        data = answer.read()
        wanted = f"bytes {offset}-{offset + count - 1}/"
        if answer.status != 206 or not answer.getheader("Content-Range", "").startswith(wanted):
            raise ValueError(f"{answer.status} {answer.getheader('Content-Range')}")
        if len(data) != count:
            raise ValueError(f"{len(data)} bytes for {count}")
        return data


def view(name, address, port, ca, path, count):
    begun, digest, total = time.monotonic(), hashlib.sha256(), 0
    viewer = Viewer(name, address, int(port), ca)
    tiles = slide_tiles(viewer.read(path, 0, HEAD_BYTES))[:int(count)]
    for offset, length in tiles:
        data = viewer.read(path, offset, length)
        digest.update(data)
        total += len(data)
    print(json.dumps({"tiles": len(tiles), "bytes": total, "sha256": digest.hexdigest(),
        "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    view(*sys.argv[1:])

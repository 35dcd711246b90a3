#!/usr/bin/env python3
"""Second verifier of a ledger export: Python 3 standard library only, sharing nothing with src/audit.

It computes everything again (Ed25519 by RFC 8032, the tree by RFC 6962, files by C2SP tlog-tiles)
and says what is wrong and where: a line each with directory, fault, first, last, file. Exit code 0:
every export is intact; 1: one is not; 2: usage.
"""
import argparse
import base64
import hashlib
import json
import pathlib
import re
import sys
from datetime import datetime

# --- Ed25519 (RFC 8032 5.1), plainly ----------------------------------------------------------
P = 2 ** 255 - 19
ORDER = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)

def point_add(a, b):
    """Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, x*y = T/Z."""
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P

def point_multiply(number, point):
    result = (0, 1, 1, 0)
    while number > 0:
        if number & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        number >>= 1
    return result

def point_decode(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * SQRT_M1 % P
    if (x * x - x2) % P != 0 or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P

def point_encode(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = point_decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))

def ed25519_good(public_key, message, signature):
    point = point_decode(public_key)
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or point is None or s >= ORDER:
        return False
    k = hashlib.sha512(signature[:32] + public_key + message).digest()
    k = int.from_bytes(k, "little") % ORDER
    negative = (P - point[0], point[1], 1, P - point[3])
    return point_encode(point_add(point_multiply(s, BASE), point_multiply(k, negative))) == signature[:32]

# --- the tree (RFC 6962 2.1) ------------------------------------------------------------------
def sha256(data):
    return hashlib.sha256(data).digest()

def tree_root(hashes):
    """Halves at the largest power of two below the count, as the RFC defines it."""
    if not hashes:
        return sha256(b"")
    stack = []  # (count, hash) of complete subtrees
    for leaf in hashes:
        stack.append((1, leaf))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            (count, right), (_, left) = stack.pop(), stack.pop()
            stack.append((2 * count, sha256(b"\1" + left + right)))
    root = stack.pop()[1]
    while stack:
        root = sha256(b"\1" + stack.pop()[1] + root)
    return root

# --- checkpoints (C2SP signed-note, tlog-checkpoint) --------------------------------------------
class Key:
    def __init__(self, text):
        self.name, key_id, key = text.split("+", 2)
        data = base64.b64decode(key, validate=True)
        self.id, self.public_key = bytes.fromhex(key_id), data[1:]
        if len(data) != 33 or data[0] != 1 or self.id != sha256(self.name.encode() + b"\n" + data)[:4]:
            raise ValueError("not an Ed25519 verifier key, or copied wrongly")

def checkpoint_open(data, key):
    """Returns (fault or None, size, root)."""
    bad = ("checkpoint-malformed", None, None)
    try:
        note = data.decode("utf-8")
        text, signatures = note[:note.rindex("\n\n") + 1], note[note.rindex("\n\n") + 2:]
        if any(ord(c) < 32 and c != "\n" for c in note) or not signatures.endswith("\n"):
            return bad
        lines, parsed = text[:-1].split("\n"), []
        for line in signatures[:-1].split("\n"):
            match = re.fullmatch("\u2014 ([^\\s+]+) ([A-Za-z0-9+/]+={0,2})", line)
            parsed.append((match[1], base64.b64decode(match[2], validate=True)))
            if base64.b64encode(parsed[-1][1]).decode() != match[2] or len(parsed[-1][1]) < 5:
                return bad
        if not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]) or "" in lines:
            return bad
        size, root = int(lines[1]), base64.b64decode(lines[2], validate=True)
        if len(root) != 32 or size >= 2 ** 63 or base64.b64encode(root).decode() != lines[2]:
            return bad
    except (ValueError, TypeError, IndexError):
        return bad
    if lines[0] != key.name:
        return "origin-unknown", size, root
    ours = [s[4:] for name, s in parsed if name == key.name and s[:4] == key.id]
    if not ours:
        return "unsigned", size, root
    if not all(ed25519_good(key.public_key, text.encode(), s) for s in ours):
        return "signature-bad", size, root
    return None, size, root

# --- the files (C2SP tlog-tiles) ----------------------------------------------------------------
def tile_path(level, index, width):
    groups = ["%03d" % (index % 1000)]
    while index >= 1000:
        index //= 1000
        groups.insert(0, "x%03d" % (index % 1000))
    return "tile/%s/%s%s" % (level, "/".join(groups), "" if width == 256 else ".p/%d" % width)

def read(directory, name):
    path = pathlib.Path(directory, name)
    return path.read_bytes() if path.exists() else None

def split_bundle(data):
    """The entries, up to the first that is not one."""
    entries = []
    while data:
        count = int.from_bytes(data[:2], "big")
        if len(data) < 2 + count or count == 0:
            entries.append(None)
            break
        entries.append(data[2:2 + count])
        data = data[2 + count:]
    return entries

KEYS = ["actor", "data", "kind", "subject", "time", "v"]

def record_fault(entry, last_time):
    """Returns (fault or None, time)."""
    try:
        text = entry.decode("utf-8")
        record = json.loads(text, parse_float=int)
        canonical = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        canonical = re.sub(r"\\(u[0-9a-f]{4}|.)", lambda m: "\\" + m[1][0] + m[1][1:].upper(), canonical)
        if canonical != text or sorted(record) != KEYS or record["v"] != 1:
            return "record-malformed", last_time
        datetime.strptime(record["time"], "%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, TypeError):
        return "record-malformed", last_time
    back = record["time"] < last_time and record["kind"] != "clock.stepped"
    return ("time-back" if back else None), record["time"]

class Export:
    def __init__(self, directory, key, known):
        self.directory, self.key, self.known, self.findings = directory, key, known, []

    def find(self, fault, first=0, last=0, path=""):
        self.findings.append((fault, first, last, path))
    def read_level(self, level, count):
        """All hashes of a level as the export has them; None for those that are not there."""
        hashes = []
        for index in range((count + 255) // 256):
            width = min(256, count - 256 * index)
            data = read(self.directory, tile_path(level, index, width)) or b""
            have = [data[i:i + 32] for i in range(0, len(data) - 31, 32)][:width]
            hashes += have + [None] * (width - len(have))
        return hashes

    def read_entries(self, size):
        entries = []
        for index in range((size + 255) // 256):
            width, data = min(256, size - 256 * index), None
            for shorter in range(width, 0, -1):
                data = read(self.directory, tile_path("entries", index, shorter))
                if data is not None:
                    break
            entries += split_bundle(data or b"")
        return entries

    def compare_tiles(self, leaves, size):
        """Every hash tile against the true leaves."""
        level, hashes = 0, leaves
        while hashes:
            have = self.read_level(level, len(hashes))
            for index in range((len(hashes) + 255) // 256):
                start, width = 256 * index, min(256, len(hashes) - 256 * index)
                wrong = [i for i in range(width) if have[start + i] != hashes[start + i]]
                path = tile_path(level, index, width)
                if read(self.directory, path) is None:
                    self.find("tile-missing", 0, width - 1, path)
                elif wrong:
                    self.find("tile-altered", wrong[0], wrong[-1], path)
            hashes = [tree_root(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
            level += 1

    def compare_entries(self, truth, have):
        t = h = 0
        while t < len(truth) and h < len(have):
            if truth[t] == have[h]:
                t, h = t + 1, h + 1
                continue
            near = 0
            if truth[t + 1:t + 2] == have[h:h + 1] and truth[t:t + 1] == have[h + 1:h + 2]:
                self.find("entries-swapped", t, t + 1)
                t, h = t + 2, h + 2
                continue
            if truth[t + 1:t + 2] != have[h + 1:h + 2]:
                near = next((d for d in range(1, 601) if have[h] in truth[t + d:t + d + 1] or
                             truth[t] in have[h + d:h + d + 1]), 0)
            if near and have[h] in truth[t + near:t + near + 1]:
                self.find("entry-removed", t, t + near - 1)
                t += near
            elif near:
                self.find("entry-inserted", t, t)
                h += near
            else:
                partner = [i for i, f in enumerate(self.findings) if f[0] == "entry-altered" and
                           truth[f[1]] == have[h] and have[f[1]:f[1] + 1] == [truth[t]]]
                if partner:
                    self.findings[partner[0]] = ("entries-swapped", self.findings[partner[0]][1], t, "")
                else:
                    self.find("entry-altered", t, t)
                t, h = t + 1, h + 1
        if t < len(truth):
            self.find("truncated", t, len(truth) - 1)
        elif h < len(have):
            self.find("entry-inserted", t, t)

    def verify(self):
        data = read(self.directory, "checkpoint")
        fault, size, root = checkpoint_open(data, self.key) if data else ("checkpoint-missing", None, None)
        if fault:
            self.find(fault)
        if size is None:
            return
        entries = self.read_entries(size)
        leaves = [sha256(b"\0" + e) if e is not None else b"" for e in entries]
        tiles = self.read_level(0, size)
        truth = next((c for c in (leaves, tiles) if len(c) == size and None not in c and
                      tree_root(c) == root), None)
        if truth is not None:
            self.compare_tiles(truth, size)
            self.compare_entries(truth, leaves)
        elif len(leaves) < size and not leaves[:1] == [b""] and leaves == tiles[:len(leaves)]:
            self.find("truncated", len(leaves), size - 1)
        else:
            differ = next((i for i, pair in enumerate(zip(leaves, tiles)) if pair[0] != pair[1]), len(leaves))
            same = differ == len(leaves) == size
            if not (same and fault):
                self.find("rewritten" if same else "differs", 0 if same else differ, max(size, 1) - 1)
        for note in self.known:
            bad, known_size, known_root = checkpoint_open(note, self.key)
            if bad:
                self.find("known-bad")
            elif known_size > size:
                self.find("rolled-back", known_size, known_size)
            elif truth is not None and not fault and tree_root(truth[:known_size]) != known_root:
                self.find("forked", known_size, known_size)
        last_time = ""
        for index, entry in enumerate(entries if truth is leaves else []):
            bad, last_time = record_fault(entry, last_time)
            if bad:
                self.find(bad, index, index)

def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("key", type=Key, help="verifier key: name+id+base64")
    parser.add_argument("directory", nargs="+")
    parser.add_argument("--known", action="append", default=[], metavar="FILE", type=pathlib.Path)
    options, result = parser.parse_args(arguments), 0
    for directory in options.directory:
        export = Export(directory, options.key, [path.read_bytes() for path in options.known])
        export.verify()
        intact = all(f[0] == "time-back" for f in export.findings)
        result = result if intact else 1
        for fault, first, last, path in export.findings:
            print("%s\t%s\t%d\t%d\t%s" % (directory, fault, first, last, path))
        print("%s\t%s" % (directory, "intact" if intact else "not-intact"))
    return result

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

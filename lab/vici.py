"""A small VICI client for measurements and for connections made by hand beside Sekisho's own.

    with Vici(gateway.run_dir / "charon" / "charon.vici") as vici:
        vici.register("child-updown")
        vici.load(connection)
        vici.ask("initiate", {"child": "bench", "ike": "bench"})

Messages are dicts: str or bytes for a value, list for a list, dict for a section. One request at a
time; events that come meanwhile are kept with the moment they were read (CLOCK_MONOTONIC).
"""

import select
import socket
import struct
import time

from lab.world import PATIENCE, LabError

# What a packet is, and what stands in a message (strongSwan's vici README).
REQUEST, RESPONSE, UNKNOWN, REGISTER, UNREGISTER, CONFIRM, NO_EVENT, EVENT = range(8)
SECTION, SECTION_END, VALUE, LIST, ITEM, LIST_END = range(1, 7)


class ViciError(LabError):
    """charon's refusal, in its words."""


class Vici:
    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.events = []  # (moment, name, message)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.socket.close()

    def register(self, event):
        self._send(REGISTER, event, b"")
        while self._read()[0] != CONFIRM:
            pass

    def ask(self, command, message=None):
        """The answer and the moment it was read; ViciError when it says no success."""
        self._send(REQUEST, command, _pack(message or {}))
        while True:
            kind, answer, moment = self._read()
            if kind == UNKNOWN:
                raise ViciError(f"charon knows no command {command}")
            if kind == RESPONSE:
                break
        if answer.get("success", "yes") != "yes":
            raise ViciError(f"{command}: {answer.get('errmsg', 'no reason')}")
        return answer, moment

    def load(self, connections):
        self.ask("load-conn", connections)

    def wait_event(self, name, predicate=lambda message: True, timeout=20):
        """The moment at which the first such event was read; it and those before it are forgotten."""
        end = time.monotonic() + timeout * PATIENCE
        while True:
            for number, (moment, found, message) in enumerate(self.events):
                if found == name and predicate(message):
                    del self.events[:number + 1]
                    return moment
            if not select.select([self.socket], [], [], max(0, end - time.monotonic()))[0]:
                raise LabError(f"charon told of no {name} within {timeout} s")
            self._read()

    def forget_events(self):
        while select.select([self.socket], [], [], 0)[0]:
            self._read()
        self.events.clear()

    def _send(self, kind, name, body):
        packet = bytes((kind, len(name))) + name.encode() + body
        self.socket.sendall(struct.pack("!I", len(packet)) + packet)

    def _read(self):
        packet = self._take(struct.unpack("!I", self._take(4))[0])
        moment = time.monotonic()
        kind = packet[0]
        if kind == EVENT:
            name = packet[2:2 + packet[1]].decode()
            message = _unpack(packet[2 + packet[1]:])
            self.events.append((moment, name, message))
            return kind, message, moment
        return kind, _unpack(packet[1:]) if kind == RESPONSE else {}, moment

    def _take(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise LabError("charon closed its VICI socket")
            data += piece
        return data


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def _name(kind, name):
    return bytes((kind, len(name))) + name.encode()


def _pack(message):
    data = b""
    for name, value in message.items():
        if isinstance(value, dict):
            data += _name(SECTION, name) + _pack(value) + bytes((SECTION_END,))
        elif isinstance(value, (list, tuple)):
            data += _name(LIST, name)
            for item in map(_bytes, value):
                data += struct.pack("!BH", ITEM, len(item)) + item
            data += bytes((LIST_END,))
        else:
            value = _bytes(value)
            data += _name(VALUE, name) + struct.pack("!H", len(value)) + value
    return data


def _value(data):
    """Text as str, anything else (a certificate) as bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _unpack(data):
    root = {}
    stack, items, at = [root], None, 0
    while at < len(data):
        kind = data[at]
        at += 1
        if kind in (SECTION, VALUE, LIST):
            name = data[at + 1:at + 1 + data[at]].decode()
            at += 1 + data[at]
        if kind in (VALUE, ITEM):
            count = struct.unpack_from("!H", data, at)[0]
            value = _value(data[at + 2:at + 2 + count])
            at += 2 + count
        if kind == SECTION:
            stack.append(stack[-1].setdefault(name, {}))
        elif kind == SECTION_END:
            stack.pop()
        elif kind == VALUE:
            stack[-1][name] = value
        elif kind == LIST:
            items = stack[-1].setdefault(name, [])
        elif kind == ITEM:
            items.append(value)
    return root

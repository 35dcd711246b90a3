"""Sees, without touching it, when a gateway's packet filter opens and shuts.

    watch = FilterWatch(world, ["core-hospital", "device-maker"])
    watch.forget()
    ...
    moments = watch.wait(opened=True)    # {"core-hospital": 12.345, "device-maker": 12.344}

The kernel tells every change of an nftables element to who listens (NFNLGRP_NFTABLES); a thread
stamps each with CLOCK_MONOTONIC as it is read. That costs the gateways nothing but the copy of the
message.
"""

import select
import socket
import struct
import threading
import time

from lab.world import PATIENCE, LabError

NETLINK_NETFILTER, SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES = 12, 270, 1, 7
NEW_ELEMENT, DELETE_ELEMENT = (10 << 8) | 12, (10 << 8) | 14
SET, ELEMENTS = 2, 3
KEY, DATA, TIMEOUT, VALUE = 1, 2, 4, 1


class FilterEvent:
    """One element of a map came (new) or went."""

    def __init__(self, moment, node, new, name, key, mark, timeout):
        self.moment, self.node, self.new, self.name = moment, node, new, name
        self.key, self.mark, self.timeout = key, mark, timeout  # timeout in seconds


class FilterWatch:
    def __init__(self, world, nodes, name="lease"):
        self.nodes, self.name = list(nodes), name
        self.events = []
        self.lost = False
        self._lock = threading.Condition()
        self._sockets = {world.socket(node, socket.AF_NETLINK, socket.SOCK_RAW,
            NETLINK_NETFILTER): node for node in self.nodes}
        for link in self._sockets:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            link.bind((0, 0))
            link.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, GROUP_NFTABLES)
        threading.Thread(target=self._read, daemon=True).start()

    def forget(self):
        """What came so far counts no more."""
        with self._lock:
            self.events.clear()

    def wait(self, opened, nodes=None, timeout=20):
        """The moment, by node, of the first element that came (or went) since forget()."""
        nodes = list(nodes or self.nodes)
        end = time.monotonic() + timeout * PATIENCE
        with self._lock:
            while True:
                if self.lost:
                    raise LabError("the kernel dropped notifications of the packet filter")
                found = {}
                for event in self.events:
                    if event.new == opened and event.node in nodes:
                        found.setdefault(event.node, event.moment)
                if len(found) == len(nodes):
                    return found
                if not self._lock.wait(end - time.monotonic()):
                    missing = sorted(set(nodes) - set(found))
                    raise LabError(f"no {'opened' if opened else 'shut'} filter at "
                        f"{', '.join(missing)} within {timeout} s")

    def newest(self, node):
        """The newest element that came at this node since forget(), or None."""
        with self._lock:
            return next((event for event in reversed(self.events)
                if event.new and event.node == node), None)

    def _read(self):
        poll = select.poll()
        links = {link.fileno(): link for link in self._sockets}
        for number in links:
            poll.register(number, select.POLLIN)
        while True:
            for number, _ in poll.poll():
                link = links[number]
                try:
                    data = link.recv(1 << 17)
                except OSError:  # ENOBUFS
                    with self._lock:
                        self.lost = True
                        self._lock.notify_all()
                    continue
                moment = time.monotonic()
                found = [event for event in _events(data, moment, self._sockets[link])
                    if event.name == self.name]
                if found:
                    with self._lock:
                        self.events += found
                        self._lock.notify_all()


def _events(data, moment, node):
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 16:
            return
        if kind in (NEW_ELEMENT, DELETE_ELEMENT):
            attributes = dict(_attributes(data[at + 20:at + length]))
            name = attributes.get(SET, b"").rstrip(b"\0").decode()
            for _, element in _attributes(attributes.get(ELEMENTS, b"")):
                parts = dict(_attributes(element))
                key = dict(_attributes(parts.get(KEY, b""))).get(VALUE, b"")
                mark = dict(_attributes(parts.get(DATA, b""))).get(VALUE, b"")
                timeout = parts.get(TIMEOUT, b"")
                yield FilterEvent(moment, node, kind == NEW_ELEMENT, name, key,
                    struct.unpack("=I", mark)[0] if len(mark) == 4 else 0,
                    struct.unpack("!Q", timeout)[0] / 1000 if len(timeout) == 8 else 0.0)
        at += (length + 3) & ~3


def _attributes(data):
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4:at + length]
        at += (length + 3) & ~3

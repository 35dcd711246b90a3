"""One end of a conference: a steady stream of datagrams each way, as sound and picture make one.

    conference.py call|listen ADDRESS PORT SECONDS

The caller sends to the address, the listener to whoever it hears first. Each sends for so long,
goes on to listen until nothing comes any more, and prints JSON: how many datagrams it sent, how
many different ones of the other side it received, and the longest pause between two of them.
"""

import json
import select
import socket
import struct
import sys
import time

HERTZ = 100
PAYLOAD = 1172  # with its headers 1200, as conferences send
MARKER = b"CONFERENCE-MARKER"
QUIET_SEC = 1.5  # after which nothing more is on the way
GIVE_UP_SEC = 30  # without a first datagram


def talk(mode, address, port, seconds):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    if mode == "listen":
        link.bind((address, port))
        print("listening", flush=True)
        if not select.select([link], [], [], GIVE_UP_SEC)[0]:
            return {"sent": 0, "received": 0, "pause_ms": 0}
        link.connect(link.recvfrom(65536, socket.MSG_PEEK)[1])
    else:
        link.connect((address, port))
    count, sent, seen = int(seconds * HERTZ), 0, set()
    due = last = time.monotonic()
    pause = 0.0
    while sent < count or time.monotonic() - max(last, due) < QUIET_SEC:
        wait = due - time.monotonic() if sent < count else 0.1
        if select.select([link], [], [], max(0, wait))[0]:
            try:
                seen.add(struct.unpack_from("!Q", link.recv(65536), len(MARKER))[0])
            except OSError:
                continue  # an ICMP error: nobody there yet
            now = time.monotonic()
            pause, last = max(pause, now - last) if len(seen) > 1 else 0.0, now
        if sent < count and time.monotonic() >= due:
            data = MARKER + struct.pack("!Q", sent)
            try:
                link.send(data.ljust(PAYLOAD, b"."))
            except OSError:
                pass  # no way there: a datagram lost
            sent += 1
            due += 1 / HERTZ
    return {"sent": sent, "received": len(seen), "pause_ms": round(pause * 1000)}


if __name__ == "__main__":
    print(json.dumps(talk(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))

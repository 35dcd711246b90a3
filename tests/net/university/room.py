"""A net conference over UDP, as programs:

    room.py room ADDRESS PORT          whatever a member sends goes to all others
    room.py member ADDRESS PORT NAME   sends its name and what it has to say 50 times a second,
                                       and writes "hears NAME" when another's comes
"""

import socket
import sys
import time

INTERVAL = 0.02  # a frame of telephony
GONE = 2.0  # seconds without a word
FRAME = 160


def room(address, port):
    members = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind((address, port))
        print("open", flush=True)
        while True:
            data, peer = link.recvfrom(2048)
            now = time.monotonic()
            members[peer] = now
            for other, heard in list(members.items()):
                if now - heard > GONE:
                    del members[other]
                elif other != peer:
                    try:
                        link.sendto(data, other)
                    except OSError:
                        pass  # no way there, for now


def member(address, port, name):
    said, due = name.encode().ljust(FRAME, b"."), time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect((address, port))
        while True:
            try:
                link.send(said)
            except OSError:
                pass
            due = max(due + INTERVAL, time.monotonic() - 1)
            while (left := due - time.monotonic()) > 0:
                link.settimeout(left)
                try:
                    print("hears", link.recv(2048).rstrip(b".").decode(), flush=True)
                except OSError:
                    pass


if __name__ == "__main__":
    {"room": room, "member": member}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), *sys.argv[4:])

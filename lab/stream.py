"""A steady stream through a tunnel, and the moment its last packet arrived.

    stream = Stream(world, "device-maker/terminal", "core-hospital/ct", "100.64.2.20", 9000)
    stream.wait_flowing()
    order = time.clock_gettime(time.CLOCK_REALTIME)
    ...
    stream.wait_quiet(0.3)
    print(stream.last - order)

As a program (`stream.py ADDRESS PORT HERTZ`) it is the sender. The receiver is a packet socket on
the target's own interface: it sees what was delivered to the host, by the kernel's time stamp.
"""

import socket
import struct
import sys
import threading
import time

if __name__ != "__main__":
    from lab.world import PATIENCE, REPOSITORY, LabError, wait_for

ETH_P_IP, SO_TIMESTAMPNS, UDP = 0x0800, 35, 17


class Stream:
    def __init__(self, world, source, target, address, port, hertz=1000, interface="eth0"):
        self.port = port
        self.last = 0.0  # CLOCK_REALTIME of the newest packet
        self.count = 0
        self.gaps = []  # (length, end) of pauses longer than ten intervals
        self._interval = 1 / hertz
        self._stopped = False
        self._socket = world.socket(target, socket.AF_PACKET, socket.SOCK_DGRAM,
            socket.htons(ETH_P_IP))
        self._socket.bind((interface, ETH_P_IP))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.sender = world.spawn(source, ["/usr/bin/python3",
            REPOSITORY / "lab" / "stream.py", address, port, hertz])

    def wait_flowing(self, timeout=10, count=50):
        """Waits for `count` more packets in a row."""
        start = self.count
        wait_for(lambda: self.count >= start + count, timeout, "the stream flows", 0.005)

    def wait_quiet(self, seconds, timeout=60):
        """Waits until no packet came for so long; returns the moment of the last one."""
        end = time.monotonic() + timeout * PATIENCE
        while time.clock_gettime(time.CLOCK_REALTIME) - self.last < seconds:
            if time.monotonic() > end:
                raise LabError(f"the stream still flows after {timeout} s")
            time.sleep(0.005)
        return self.last

    def stop(self):
        self.sender.stop()
        self._stopped = True
        self._thread.join()
        self._socket.close()

    def _read(self):
        while not self._stopped:
            try:
                data, extra, _, peer = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            except OSError:
                return  # the world is being taken down
            if peer[2] == socket.PACKET_OUTGOING or len(data) < 28 or data[9] != UDP:
                continue
            head = (data[0] & 15) * 4
            if struct.unpack_from("!H", data, head + 2)[0] != self.port:
                continue
            seconds, nanoseconds = struct.unpack("=qq", extra[0][2][:16])
            moment = seconds + nanoseconds / 1e9
            if self.count and moment - self.last > 10 * self._interval:
                self.gaps.append((moment - self.last, moment))
            self.last = moment
            self.count += 1


def send(address, port, hertz):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    interval, due, number = 1 / hertz, time.monotonic(), 0
    while True:
        try:
            link.sendto(struct.pack("!Q", number) + b"sekisho-stream", (address, port))
        except OSError:
            pass  # no way there, for now
        number += 1
        due += interval
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif wait < -1:
            due = time.monotonic()  # the machine slept; no burst


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

"""Reads what tcpdump -w wrote, while it is still being written.

Knows Ethernet and the two "cooked" headers of `-i any`, IPv4 and IPv6, TCP, UDP and ICMP: what the
tests ask for. A packet cut off at the end of the file is not there yet and is left for the next
reading.
"""

import socket
import struct
from dataclasses import dataclass

ETHERNET, COOKED, COOKED_2 = 1, 113, 276
IPV4, IPV6 = 0x0800, 0x86DD
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 58: "icmp6"}


@dataclass
class Packet:
    time: float
    data: bytes  # from the network header on
    source: str = ""
    destination: str = ""
    protocol: str = ""
    source_port: int = 0
    destination_port: int = 0
    sequence: int = 0  # TCP only
    payload: bytes = b""

    def __str__(self):
        return (f"{self.protocol or 'other'} {self.source}:{self.source_port} -> "
                f"{self.destination}:{self.destination_port}, {len(self.data)} bytes")


def packets_read(path):
    """All complete packets of the file, in the order of their capture."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return []
    if len(data) < 24:
        return []
    magic = data[:4]
    if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        order = "<"
    elif magic in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d"):
        order = ">"
    else:
        raise ValueError(f"{path} is not a pcap file")
    fraction = 1e-9 if b"\x3c" in magic else 1e-6
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    result = []
    at = 24
    while at + 16 <= len(data):
        seconds, part, length, _ = struct.unpack_from(order + "IIII", data, at)
        if at + 16 + length > len(data):
            break
        frame = data[at + 16:at + 16 + length]
        result.append(_packet(seconds + part * fraction, link, frame))
        at += 16 + length
    return result


def stream_bytes(packets):
    """What was said over TCP and UDP, one bytes object a direction, TCP in sequence order.

    A segment sent twice counts once, so a text that was cut over two segments is found.
    """
    flows = {}
    for packet in packets:
        if packet.payload:
            key = (packet.protocol, packet.source, packet.source_port, packet.destination,
                   packet.destination_port)
            flows.setdefault(key, []).append(packet)
    result = []
    for key, flow in flows.items():
        if key[0] == "tcp":
            base = flow[0].sequence
            first = {}
            for packet in flow:
                # Signed distance from the first segment: sequence numbers wrap.
                distance = (packet.sequence - base + 0x80000000) % 0x100000000
                if len(packet.payload) > len(first.get(distance, b"")):
                    first[distance] = packet.payload
            parts, end = [], None
            for distance in sorted(first):
                payload = first[distance]
                if end is not None and distance < end:
                    payload = payload[end - distance:]
                parts.append(payload)
                end = max(end or 0, distance + len(first[distance]))
            result.append(b"".join(parts))
        else:
            result.append(b"".join(packet.payload for packet in flow))
    return result


def packet_ipv4(time, data):
    """A packet of its bytes: one that was found within another."""
    packet = Packet(time, data)
    _ipv4(packet)
    return packet


def _packet(time, link, frame):
    if link == ETHERNET:
        kind, start = _u16(frame, 12), 14
        while kind in (0x8100, 0x88A8):
            kind, start = _u16(frame, start + 2), start + 4
    elif link == COOKED:
        kind, start = _u16(frame, 14), 16
    elif link == COOKED_2:
        kind, start = _u16(frame, 0), 20
    else:
        raise ValueError(f"link type {link} is not known")
    packet = Packet(time, frame[start:])
    if kind == IPV4 and len(packet.data) >= 20:
        _ipv4(packet)
    elif kind == IPV6 and len(packet.data) >= 40:
        _ipv6(packet)
    return packet


def _ipv4(packet):
    data = packet.data
    packet.source = ".".join(map(str, data[12:16]))
    packet.destination = ".".join(map(str, data[16:20]))
    fragment = _u16(data, 6) & 0x1FFF
    total = _u16(data, 2) or len(data)  # 0: the length was left to the network card
    _transport(packet, data[9], data[(data[0] & 15) * 4:total], fragment != 0)


def _ipv6(packet):
    data = packet.data
    packet.source = _ipv6_text(data[8:24])
    packet.destination = _ipv6_text(data[24:40])
    total = _u16(data, 4)
    _transport(packet, data[6], data[40:40 + total] if total else data[40:], False)


def _transport(packet, number, body, later_fragment):
    packet.protocol = PROTOCOLS.get(number, str(number))
    packet.payload = body
    if later_fragment:
        return
    if packet.protocol == "tcp" and len(body) >= 20:
        packet.source_port, packet.destination_port = struct.unpack_from("!HH", body)
        packet.sequence = struct.unpack_from("!I", body, 4)[0]
        packet.payload = body[(body[12] >> 4) * 4:]
    elif packet.protocol == "udp" and len(body) >= 8:
        packet.source_port, packet.destination_port = struct.unpack_from("!HH", body)
        packet.payload = body[8:]


def _ipv6_text(data):
    return socket.inet_ntop(socket.AF_INET6, data)


def _u16(data, at):
    return int.from_bytes(data[at:at + 2], "big")

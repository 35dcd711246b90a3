"""The campus between the institute's gateway and the internet. There is no way through it but an L2TP
tunnel over its LAN, from one box to another (LAC and LNS of RFC 2661); both are User-Mode Linux with
xl2tpd, pppd and the kernel's own L2TP.

    institute's gateway      LAC                          LNS                 internet
      198.18.8.2 ---- 198.18.8.1  10.10.0.2 ---- 10.10.0.1  198.18.7.2 ---- 198.18.7.1
                                    the campus's LAN
                                10.9.0.2 ===== 10.9.0.1  PPP in L2TP
"""

from lab.pcap import packet_ipv4
from lab.uml import Guest, missing
from lab.world import LabError, Host, Site, wait_for

NODE = "campus"
LAN = "lac-lan"  # an interface of the node that sees all of the LAN
L2TP_PORT = 1701
LNS, LAC = "10.10.0.1", "10.10.0.2"
TOOLS = ("xl2tpd", "pppd", "sysctl")
INSTITUTE = Site("institute", "198.18.8.2", "198.18.8.1", "192.168.30.1", "100.64.9.0/24",
    (Host("pc", "192.168.30.10", "100.64.9.10"),), nat=NODE, public="198.18.7.2", groups=("b",))

SECRET = "a secret of the campus"
IP_UP = """#!/bin/sh
ip route add 198.18.8.0/24 dev "$1"
ip rule add iif "$1" table 1 priority 40000
"""

# Three switches. The node itself has no address and routes nothing.
SWITCHES = {"institute": ("lan0", "lac-in"), "lan": (LAN, "lns-lan"), "edge": ("wan0", "lns-out")}

BOTH = """mtu 1400
mru 1400
noccp
noipv6
lcp-restart 1
lcp-echo-interval 5
lcp-echo-failure 6
"""

LNS_CONFIG = f"""[global]
listen-addr = {LNS}
[lns default]
ip range = 10.9.0.2-10.9.0.9
local ip = 10.9.0.1
require chap = yes
refuse pap = yes
require authentication = yes
name = campus
length bit = yes
"""

LAC_CONFIG = f"""[global]
listen-addr = {LAC}
[lac campus]
lns = {LNS}
autodial = yes
redial = yes
redial timeout = 1
refuse pap = yes
name = institute
length bit = yes
"""


def campus_missing():
    return missing(*TOOLS)


class Campus:
    def __init__(self, world):
        self.world = world
        lines = []
        for switch, ports in SWITCHES.items():
            lines.append(f"link add {switch} type bridge")
            for port in ports:
                lines.append(f"addr flush dev {port}" if port[-1] == "0"
                    else f"tuntap add {port} mode tap")
                lines += [f"link set {port} master {switch}", f"link set {port} up"]
            lines.append(f"link set {switch} up")
        world.run(NODE, ["sysctl", "-qw", "net.ipv4.ip_forward=0",
            "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])
        world.run(NODE, ["ip", "-batch", "-"], input="\n".join(lines) + "\n")
        world.run(NODE, ["nft", "flush", "ruleset"])
        # The internet knows the institute's network behind the campus, tunnel or not.
        world.run("inet", ["ip", "route", "add", "198.18.8.0/24", "via", INSTITUTE.public])
        self.lac = Guest(world, NODE, "lac", "l2tp_ppp", ("lac-in", LAN)).start(wait=False)
        self.lns = Guest(world, NODE, "lns", "l2tp_ppp", ("lns-lan", "lns-out")).start(wait=False)

    def ready(self):
        """Both boxes have booted and have their addresses; there is no tunnel."""
        self._box(self.lac, ("198.18.8.1/24", f"{LAC}/24"), LAC_CONFIG, "noauth\ndefaultroute\n")
        self._box(self.lns, (f"{LNS}/24", f"{INSTITUTE.public}/24"), LNS_CONFIG, "auth\n")
        self._secret(self.lns, SECRET)
        # Only what came out of the tunnel is led to the internet, and the box's own ("too large for
        # the tunnel"); what came over the LAN is not.
        self.lns.run("ip route add default via 198.18.7.1 table 1 && "
            "ip rule add iif lo table 1 priority 40000")
        (self.lns.folder / "ip-up").write_text(IP_UP)
        self.lns.run(f"cp {self.lns.folder}/ip-up /etc/ppp/ip-up && chmod 755 /etc/ppp/ip-up")
        self._daemon(self.lns)

    def dial(self, secret=SECRET):
        """Starts the tunnel; returns at once."""
        self._secret(self.lac, secret)
        self._daemon(self.lac)

    def wait_up(self, timeout=20):
        try:
            wait_for(lambda: all("peer" in self.addresses(box) for box in (self.lac, self.lns)),
                timeout, "PPP has addresses", 0.1)
        except LabError as error:
            raise LabError(f"{error}: {self.said(self.lac)[-600:]} {self.said(self.lns)[-600:]}") \
                from None

    def hang_up(self):
        self.lac.run("kill $daemon; wait $daemon; true")
        for box in (self.lac, self.lns):
            wait_for(lambda: "ppp" not in box.run("ip -br link"), 10, f"{box.name} has no PPP")

    def addresses(self, box):
        """What PPP has in a box: its own address and its peer's, or nothing."""
        return box.run("ip -o -4 addr show to 10.9.0.0/24")

    def said(self, box):
        """What xl2tpd and its pppd have written."""
        log = box.folder / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _box(self, box, addresses, config, options):
        box.ready()
        box.run("for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f; done")
        for n, address in enumerate(addresses):
            box.run(f"ip addr add {address} dev vec{n} && ip link set vec{n} up")
        (box.folder / "options").write_text(BOTH + options + f"logfile {box.folder}/log\n")
        (box.folder / "config").write_text(config + f"pppoptfile = {box.folder}/options\n")
        box.run("echo 1 >/proc/sys/net/ipv4/ip_forward; mkdir -p /run/xl2tpd && "
            "mount -t tmpfs tmpfs /etc/ppp")

    def _secret(self, box, secret):
        box.run(f"umask 77; echo '* * \"{secret}\" *' >/etc/ppp/chap-secrets")

    def _daemon(self, box):
        box.run(f"xl2tpd -D -c {box.folder}/config >>{box.folder}/log 2>&1 & daemon=$!")


def is_l2tp(packet):
    return packet.protocol == "udp" and L2TP_PORT in (packet.source_port, packet.destination_port)


def about(packet):
    """What an ICMP error is about (too large, nobody there); of any other packet, itself."""
    if packet.protocol == "icmp" and packet.payload[0] == 3:
        return packet_ipv4(packet.time, packet.payload[8:])
    return packet


def l2tp_control(packet):
    """Whether it is one of L2TP's control messages (RFC 2661, 3.1: the T bit)."""
    return is_l2tp(packet) and bool(packet.payload[0] & 0x80)


def l2tp_inside(packet):
    """The IPv4 packet that an L2TP data message carries, or None: it carries none."""
    if not is_l2tp(packet) or l2tp_control(packet):
        return None
    flags, at = int.from_bytes(packet.payload[:2], "big"), 2
    if flags & 15 != 2:
        raise LabError(f"L2TP of version {flags & 15}")
    at += 2 if flags & 0x4000 else 0  # length
    at += 4  # tunnel, session
    at += 4 if flags & 0x0800 else 0  # Ns, Nr
    if flags & 0x0200:
        at += 2 + int.from_bytes(packet.payload[at:at + 2], "big")
    frame = packet.payload[at:].removeprefix(b"\xff\x03")  # RFC 1662: address and control
    return packet_ipv4(packet.time, frame[2:]) if frame[:2] == b"\0\x21" else None

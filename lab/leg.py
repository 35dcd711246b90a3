"""A tunnel inside a hospital's own network: between a server and the router that leads to the
hospital's gateway, made by strongSwan alone and known to nobody outside. Its two ends have
certificates of the hospital's own authority, and each session begins with IKE.

    server            LAN               router           cable          gateway (Sekisho)
    10.40.N.20  <==== ESP =========>  192.168.40.1  <-------------->  192.168.11.1  ==== internet
    192.168.40.20                     192.168.11.2

    leg = Leg(world, site, number, "server")      # after the world is built
    leg.start()
    leg.up()

The world builds router and server side by side behind the gateway; a leg takes the server's cable
(and those of further hosts of that LAN) out of the gateway and puts it into the router. The server
is then known by its inner address, which the LAN does not route, and has no other way out: where
there is no tunnel its packets end in itself, and the router passes on only what came out of one.
"""

import base64
import contextlib
import pathlib

from lab.tls import Authority
from lab.vici import Vici, ViciError
from lab.world import POOL, LabError, wait_for

NAME = "leg"
LAN_ROUTER, LAN_SERVER = "192.168.40.1", "192.168.40.20"
INNER = "10.40.0.0/16"
CHARON = "/usr/sbin/charon-systemd"

# One ESP tunnel between two programs of one machine: nothing of it is fast.
STRONGSWAN_CONF = """
charon-systemd {{
  load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints kdf kernel-libipsec \
kernel-netlink socket-default vici
  install_virtual_ip = no
  retransmit_timeout = 0.5
  retransmit_base = 1.2
  retransmit_tries = 3
  plugins {{
    vici {{
      socket = unix://{directory}/vici
    }}
    kernel-libipsec {{
      load = yes
    }}
  }}
  filelog {{
    main {{
      path = {directory}/charon.log
      default = 1
      flush_line = yes
    }}
  }}
  journal {{
    default = -1
  }}
}}
"""

# The server speaks with the LAN about nothing but the tunnel.
SERVER_RULES = """
table ip leg {{
  chain in {{
    type filter hook input priority filter; policy drop;
    iifname {{ "lo", "ipsec0" }} accept
    iifname "eth0" ip saddr {router} udp dport {{ 500, 4500 }} accept
  }}
  chain out {{
    type filter hook output priority filter; policy drop;
    oifname {{ "lo", "ipsec0" }} accept
    oifname "eth0" ip daddr {router} udp dport {{ 500, 4500 }} accept
  }}
}}
"""

# What comes out of the tunnel goes to the gateway and back, and nothing else goes anywhere.
ROUTER_RULES = """
table ip leg {{
  counter refused {{ }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    iifname "ipsec0" oifname "eth0" ip saddr {inner} accept
    iifname "eth0" oifname "ipsec0" ip daddr {inner} accept
    counter name refused
  }}
  chain in {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    iifname "lan0" udp dport {{ 500, 4500 }} accept
    iifname "eth0" icmp type {{ destination-unreachable, time-exceeded }} accept
  }}
  chain out {{
    type filter hook output priority filter; policy accept;
    oifname "lan0" ip protocol != udp drop
  }}
}}
"""

# Big transfers leave room for sound and picture.
QUEUES = """
qdisc add dev ipsec0 root handle 1: htb default 20
class add dev ipsec0 parent 1: classid 1:10 htb rate 10mbit prio 0
class add dev ipsec0 parent 1: classid 1:20 htb rate 20mbit prio 1
filter add dev ipsec0 parent 1: protocol ip u32 match ip protocol 17 0xff flowid 1:10
"""


class End:
    """charon of one end."""

    def __init__(self, world, node, directory):
        self.world, self.node = world, node
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.process = self.vici = None

    def start(self):
        conf = self.directory / "strongswan.conf"
        conf.write_text(STRONGSWAN_CONF.format(directory=self.directory))
        (self.directory / "vici").unlink(missing_ok=True)
        self.process = self.world.spawn(self.node, [CHARON],
            env={"STRONGSWAN_CONF": conf, "SWANCTL_DIR": self.directory})
        self.vici = wait_for(self._connect, 15, f"charon on {self.node} answers")
        return self

    def _connect(self):
        if not self.process.alive():
            raise LabError(f"charon on {self.node} ended: {self.process.text()[-600:]}")
        with contextlib.suppress(OSError):
            return Vici(self.directory / "vici")
        return None

    def load(self, key, certificates, connection):
        for number, (pem, flag) in enumerate(certificates):
            self.vici.ask("load-cert", {"type": "X509", "flag": flag, "data": der(pem)})
        self.vici.ask("load-key", {"type": "any", "data": pathlib.Path(key).read_bytes()})
        self.vici.load({NAME: connection})

    def stop(self):
        self.process.kill()  # its peer may be gone, and it would wait for an answer
        self.process = self.vici = None

    def log(self):
        path = self.directory / "charon.log"
        return path.read_text(errors="replace") if path.exists() else ""


def der(pem):
    text = pathlib.Path(pem).read_text()
    text = text[text.index("-----BEGIN CERTIFICATE"):]
    return base64.b64decode("".join(line for line in text.splitlines()
        if not line.startswith("-")))


class Leg:
    def __init__(self, world, site, number, server="server", others=()):
        """`others` are further hosts of the LAN; the host "router" has to be there."""
        self.world, self.site, self.number = world, site, number
        self.server, self.router = f"{site}/{server}", f"{site}/router"
        self.inner, self.pool_address = f"10.40.{number}.20", f"100.64.{number}.1"
        directory = world.path("leg", site, "x").parent
        self.authority = Authority(directory / "authority", site)
        self.ends = {node: End(world, node, directory / node.split("/")[1])
            for node in (self.server, self.router)}
        self._recable((server, *others))

    def _recable(self, hosts):
        world, site = self.world, self.world.sites[self.site]
        router = world.namespace(self.router)
        gateway_side = next(host for host in site.hosts if host.name == "router")
        for host in hosts:
            world.run(self.site, ["ip", "link", "set", host, "nomaster", "netns", router])
        lines = ["link add lan0 type bridge", f"addr add {LAN_ROUTER}/24 dev lan0",
            "link set lan0 up", f"addr add {self.pool_address}/32 dev lo",
            f"route add {POOL} via {gateway_side.router} dev eth0",
            f"route add blackhole {INNER}", "route del default"]
        for host in hosts:
            lines += [f"link set {host} master lan0", f"link set {host} up"]
        self._ip(self.router, lines)
        world.run(self.router, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        self._rules(self.router, ROUTER_RULES)
        self._ip(self.site, [f"route add {self.inner}/32 via {gateway_side.address} dev "
            f"{gateway_side.lan}"])
        for number, host in enumerate(hosts):
            address = LAN_SERVER.rsplit(".", 1)[0] + f".{20 + number}"
            self._ip(f"{self.site}/{host}", ["addr flush dev eth0",
                f"addr add {address}/24 dev eth0"])
        self._ip(self.server, [f"addr add {self.inner}/32 dev lo", f"route add blackhole {POOL}"])
        self._rules(self.server, SERVER_RULES)

    def _ip(self, node, lines):
        self.world.run(node, ["ip", "-batch", "-"], input="\n".join(lines) + "\n")

    def _rules(self, node, text):
        self.world.run(node, ["nft", "-f", "-"], input=text.format(router=LAN_ROUTER,
            inner=self.inner))

    # The tunnel

    def start(self):
        """Both daemons; no tunnel yet."""
        for node in self.ends:
            self.configure(node, self.authority.server(end_name(node)))
        return self

    def configure(self, node, credentials):
        """Starts one end with these credentials; its peer has to have some of this hospital."""
        end, pem = self.ends[node], credentials.certificate
        own, other = LAN_SERVER, LAN_ROUTER
        if node == self.router:
            own, other = other, own
        if not end.process or not end.process.alive():
            end.start()
            if node == self.server:
                self.world.run(node, ["tc", "-batch", "-"], input=QUEUES.lstrip())
        peer = self.router if node == self.server else self.server
        inner, pool = [f"{self.inner}/32"], [POOL]
        end.load(credentials.key, ((self.authority.certificate, "CA"), (pem, "NONE")), {
            "version": "2", "local_addrs": [own], "remote_addrs": [other],
            "proposals": ["aes256gcm16-prfsha256-ecp256"], "mobike": "no", "keyingtries": "1",
            "dpd_delay": "10s", "unique": "replace",
            "local": {"auth": "pubkey", "id": end_name(node), "certs": [der(pem)]},
            "remote": {"auth": "pubkey", "id": end_name(peer),
                "cacerts": [der(self.authority.certificate)]},
            "children": {NAME: {
                "local_ts": inner if node == self.server else pool,
                "remote_ts": pool if node == self.server else inner,
                "esp_proposals": ["aes256gcm16"], "mode": "tunnel", "dpd_action": "clear",
                "start_action": "none", "close_action": "none"}}})

    def up(self):
        """Begins a session: IKE with certificates, then ESP. ViciError says why not."""
        self.ends[self.server].vici.ask("initiate", {"ike": NAME, "child": NAME,
            "timeout": "10000", "loglevel": "-1"})
        wait_for(lambda: self.routed(self.server, POOL) and self.routed(self.router, self.inner), 5,
            f"the leg of {self.site} is up")
        return self

    def down(self):
        """Ends the session; nothing is left of it at either end."""
        with contextlib.suppress(ViciError):
            self.ends[self.server].vici.ask("terminate", {"ike": NAME, "timeout": "5000",
                "loglevel": "-1"})
        wait_for(lambda: not self.routed(self.server, POOL)
            and not self.routed(self.router, self.inner), 10, f"the leg of {self.site} is down")

    def stop(self):
        for end in self.ends.values():
            if end.process:
                end.stop()

    def routed(self, node, destination):
        done = self.world.run(node, ["ip", "route", "show", "table", "220"], check=False)
        return any(line.startswith(destination) for line in done.stdout.splitlines())

    def log(self):
        return "\n".join(f"{node}: {end.log()[-1500:]}" for node, end in self.ends.items())


def end_name(node):
    site, host = node.split("/")
    return f"{host}.{site}.lan"

"""The mesh as administrators make it with strongSwan and nftables, gateway by gateway.

    mesh = HandMesh(world, Steps(), "psk")     # or "certificates"
    mesh.make(RULES)
    mesh.add("clinic-8", EIGHTH_RULES)         # one site more, and what that means for the others

The files are the real ones: swanctl.conf with a connection for each peer (what is common stands
once, in a template, as one who knows strongSwan writes it), and nftables rules that map the hosts'
addresses and let through what is permitted and nothing else. `psk` is a key for each pair of sites,
drawn at one and carried to the other. `certificates` is a CA at the first site; each gateway's
request is carried there, the certificate and the CA's back.

Not counted, for the benefit of the hand: packages, IP forwarding, what the peers tell each other of
addresses and names, and what only this world needs (charon with its own ESP in a namespace).
"""

import pathlib

from lab.mesh import ends, members, site_pairs
from lab.world import LabError, wait_for

CHARON = "/usr/sbin/charon-systemd"
PSK, CERTIFICATES = "psk", "certificates"
SWANCTL_FOLDERS = ("x509", "x509ca", "private", "conf.d", "x509aa", "x509ocsp", "x509ac", "x509crl",
    "pubkey", "rsa", "ecdsa", "bliss", "pkcs8", "pkcs12")

STRONGSWAN_CONF = """
charon-systemd {{
  load = random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints kdf kernel-libipsec \
kernel-netlink socket-default vici
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
swanctl {{
  load = random openssl pem pkcs1 pkcs8 x509
  socket = unix://{directory}/vici
}}
pki {{
  load = random nonce openssl pem pkcs1 pkcs8 x509
}}
"""


class HandMesh:
    def __init__(self, world, steps, auth=PSK):
        self.world, self.steps, self.auth = world, steps, auth
        self.rules, self.authority = (), ""
        self.running = {}

    def make(self, rules):
        self.rules = tuple(rules)
        self._keys(members(rules), site_pairs(rules))
        self._configure(members(rules))

    def add(self, site, rules):
        """One site more with its rules: its own gateway, and each peer's."""
        self.rules += tuple(rules)
        self._keys([site], site_pairs(rules))
        self._configure(members(rules))

    def established(self):
        """The pairs of sites with a tunnel, as the initiators see it."""
        found = set()
        for site in self.running:
            text = self._run(site, ["/usr/sbin/swanctl", "--list-sas"])
            found |= {tuple(sorted((site, line.partition(":")[0]))) for line in text.splitlines()
                if "ESTABLISHED" in line and line[0].isalnum()}
        return found

    def log(self):
        return "\n".join(f"{site}: {self._path(site, 'charon.log').read_text()[-1500:]}"
            for site in self.running)

    # Keys

    def _keys(self, sites, pairs):
        with self.steps.theme("keys"):
            if self.auth == PSK:
                for first, second in pairs:
                    self._pair_key(first, second)
                return
            if not self.authority:
                self._authority(sites[0])
            for site in sites:
                self._certificate(site)

    def _pair_key(self, first, second):
        key = self._path(first, f"{second}.key")
        self._enter(first, ["/usr/bin/openssl", "rand", "-base64", "-out", key, "32"])
        self.steps.carry(first, second, key, self._path(second, f"{first}.key"), key=True)

    def _authority(self, site):
        self.authority = site
        key, pem = self._path(site, "ca.key"), self._path(site, "x509ca", "ca.pem")
        self._pki(site, key, "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
        self._pki(site, pem, "--self", "--ca", "--type", "ecdsa", "--in", key, "--dn", "CN=Mesh CA",
            "--lifetime", "365", "--outform", "pem")

    def _certificate(self, site):
        ca = self.authority
        key, request = self._path(site, "private", "own.key"), self._path(site, "own.csr")
        pem, own = self._path(ca, f"{site}.pem"), self._path(site, "x509", "own.pem")
        self._pki(site, key, "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
        self._pki(site, request, "--req", "--type", "ecdsa", "--in", key, "--dn", f"CN={site}",
            "--san", site, "--outform", "pem")
        if site == ca:
            self._issue(ca, request, own)
            return
        there = self._path(ca, f"{site}.csr")
        self.steps.carry(site, ca, request, there)
        self._issue(ca, there, pem)
        self.steps.carry(ca, site, pem, own)
        self.steps.carry(ca, site, self._path(ca, "x509ca", "ca.pem"),
            self._path(site, "x509ca", "ca.pem"))

    def _issue(self, ca, request, out):
        self._pki(ca, out, "--issue", "--cacert", self._path(ca, "x509ca", "ca.pem"), "--cakey",
            self._path(ca, "ca.key"), "--type", "pkcs10", "--in", request, "--lifetime", "365",
            "--outform", "pem")

    def _pki(self, site, out, *argv):
        argv = ["/usr/bin/pki", *argv]
        self.steps.command(site, [*argv, out],
            lambda: out.write_text(self._run(site, argv)))

    # Gateways

    def _configure(self, sites):
        # Who waits for IKE first, so that the one who begins is not refused.
        for site in sorted(sites, key=lambda name: bool(self.world.sites[name].nat)):
            with self.steps.theme("filter and mapping"):
                rules = self._path(site, "nftables.conf")
                self.steps.write(site, rules, self._nftables(site))
                self._enter(site, ["/usr/sbin/nft", "-f", rules])
            with self.steps.theme("tunnels"):
                self.steps.write(site, self._path(site, "swanctl.conf"), self._swanctl(site))
                if site in self.running:
                    self._enter(site, ["/usr/sbin/swanctl", "--load-all", "--noprompt"])
                else:
                    self.steps.command(site, ["systemctl", "enable", "--now", "strongswan"],
                        lambda: self._start(site))

    def _start(self, site):
        """What the packet's unit does: charon, then swanctl --load-all."""
        directory = self._path(site, "strongswan.conf").parent
        for folder in SWANCTL_FOLDERS:
            (directory / folder).mkdir(exist_ok=True)
        # charon's own ESP wants an address of the gateway within what a tunnel carries.
        self.world.run(site, ["ip", "addr", "add",
            self.world.sites[site].prefix.replace(".0/24", ".1/32"), "dev", "lo"])
        (directory / "vici").unlink(missing_ok=True)
        self.running[site] = self.world.spawn(site, [CHARON], env=self._environment(site))
        self._until_answers(site)
        self._run(site, ["/usr/sbin/swanctl", "--load-all", "--noprompt"])

    def _until_answers(self, site):
        wait_for(lambda: self._path(site, "vici").exists() or not self.running[site].alive(), 10,
            f"charon of {site} answers")
        if not self.running[site].alive():
            raise LabError(f"charon of {site} ended: {self.running[site].text()[-600:]}")

    def _swanctl(self, site):
        own = self.world.sites[site]
        auth = "psk" if self.auth == PSK else "pubkey"
        text = ["peer {", "  version = 2", "  proposals = aes256gcm16-prfsha256-ecp256",
            "  local {", f"    auth = {auth}", f"    id = {site}"]
        if self.auth == CERTIFICATES:
            text.append("    certs = own.pem")
        text += ["  }", "  remote {", f"    auth = {auth}"]
        if self.auth == CERTIFICATES:
            text.append("    cacerts = ca.pem")
        text += ["  }", "}", "child {", f"  local_ts = {own.prefix}",
            "  esp_proposals = aes256gcm16", "  dpd_action = restart", "}", "connections {"]
        for peer in self._peers(site):
            text += self._connection(site, peer)
        text.append("}")
        if self.auth == PSK:
            text.append("secrets {")
            for peer in self._peers(site):
                key = self._path(site, f"{peer}.key").read_text().strip()
                text += [f"  ike-{peer} {{", f"    id-own = {site}", f"    id-peer = {peer}",
                    f"    secret = 0s{key}", "  }"]
            text.append("}")
        return "\n".join(text) + "\n"

    def _connection(self, site, peer):
        other = self.world.sites[peer]
        begins = self._begins(site, peer)
        return [f"  {peer} : peer {{", f"    remote_addrs = {'%any' if other.nat else other.wan}",
            "    remote {", f"      id = {peer}", "    }", "    children {",
            f"      {peer} : child {{", f"        remote_ts = {other.prefix}",
            *(["        start_action = start"] if begins else []), "      }", "    }", "  }"]

    def _begins(self, site, peer):
        """Who is behind NAT begins; else the one whose gateway came later."""
        natted = [bool(self.world.sites[name].nat) for name in (site, peer)]
        if natted[0] != natted[1]:
            return natted[0]
        order = list(self.world.sites)
        return order.index(site) > order.index(peer)

    def _peers(self, site):
        return [name for name in members(self.rules)
            if tuple(sorted((site, name))) in site_pairs(self.rules)]

    def _nftables(self, site):
        own = self.world.sites[site]
        concerned = [rule for rule in self.rules if site in ends(rule)]
        named = {rule[1 + (ends(rule)[1] == site)].split("/")[1] for rule in concerned}
        hosts = [host for host in own.hosts if host.name in named]
        text = ["flush ruleset", "table ip mesh {", "  chain to-hosts {",
            "    type nat hook prerouting priority dstnat",
            '    iifname "ipsec0" dnat to ip daddr map { '
            + ", ".join(f"{host.service} : {host.address}" for host in hosts) + " }", "  }",
            "  chain from-hosts {", "    type nat hook postrouting priority srcnat",
            '    oifname "ipsec0" snat to ip saddr map { '
            + ", ".join(f"{host.address} : {host.service}" for host in hosts) + " }", "  }",
            "  chain forward {", "    type filter hook forward priority filter; policy drop",
            "    ct state established,related accept"]
        for _, source, target, _, protocol, port in concerned:
            here, there = self.world.host(source), self.world.host(target)
            if source.startswith(site + "/"):
                text.append(f'    iifname "lan0" oifname "ipsec0" ip saddr {here.address} ip daddr '
                    f"{there.service} {protocol} dport {port} accept")
            else:
                text.append(f'    iifname "ipsec0" oifname "lan0" ip saddr {here.service} ip daddr '
                    f"{there.address} {protocol} dport {port} accept")
        return "\n".join(text + ["  }", "}"]) + "\n"

    # Doing

    def _path(self, site, *parts):
        return pathlib.Path(self.world.path("hand", site, *parts))

    def _environment(self, site):
        conf = self._path(site, "strongswan.conf")
        if not conf.exists():
            conf.write_text(STRONGSWAN_CONF.format(directory=conf.parent))
        return {"STRONGSWAN_CONF": conf, "SWANCTL_DIR": conf.parent}

    def _run(self, site, argv):
        return self.world.run(site, argv, env=self._environment(site)).stdout

    def _enter(self, site, argv):
        return self.steps.command(site, argv, lambda: self._run(site, argv))

"""A thief of keys: a gateway's whole token, with its PIN, was copied, and a strongSwan of the
thief's own, at the gateway's own address, speaks IKE with what is in it. The true gateway knows
nothing of it and goes on.

    thief = Thief(stage, "device-maker").start()     # copies the token as it is now
    thief.connect("core-hospital", "device-maker/terminal", "core-hospital/ct")
    # ViciError: refused

It stands in the gateway's network, as somebody on the line does who can take its packets; it lets
the true strongSwan have its ports and uses others.
"""

import contextlib
import re
import shutil
import ssl

from lab.center import PROVIDER
from lab.softhsm import MODULE, TokenStore
from lab.vici import Vici, ViciError
from lab.world import wait_for

NAME = "thief"


def _der(path):
    with open(path, encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


class Thief:
    def __init__(self, stage, site):
        self.stage, self.site, self.world = stage, site, stage.world
        own = stage.gateways[site].status()["certificate"]
        self.serial, self.identity = own["serial"], own["identity"]
        found = stage.pki.run("token", "list", store=f"gateway-{site}", token="gateway")["items"]
        self.key_id = next(item["id"] for item in found
            if item["label"] == PROVIDER and item["id"] >= "10" and item["certificate"])
        self.directory = self.world.path("thief", site, "x").parent
        store = stage.pki.store(f"gateway-{site}")
        self.pin = stage.pki.token(f"gateway-{site}", "gateway").pin
        shutil.copytree(store.tokens, self.directory / "tokens")
        self.store = TokenStore(self.directory)
        self.certificate = self.store.certificate(stage.pki.token(f"gateway-{site}", "gateway"),
            self.key_id)
        self.process = self.vici = None

    def start(self):
        """strongSwan as the gateway itself runs it, but for the token and the ports."""
        real = (self.stage.gateways[self.site].run_dir / "charon" / "strongswan.conf").read_text()
        text = re.sub(r"(socket = unix://|path = )\S*/(charon\.\w+)",
            lambda found: f"{found[1]}{self.directory}/{found[2]}", real)
        text = re.sub(r"path = \S*\.so\S*", f"path = {MODULE}", text)
        # Its end would take the true strongSwan's routing rule along if it had the same.
        text = text.replace("charon-systemd {\n", "charon-systemd {\n  port = 0\n"
            "  port_nat_t = 0\n  routing_table = 0\n", 1)
        text = text.replace("install_routes = yes", "install_routes = no")
        conf = self.directory / "strongswan.conf"
        conf.write_text(text)
        self.process = self.world.spawn(self.site, ["/usr/sbin/charon-systemd"],
            env={"STRONGSWAN_CONF": str(conf), **self.store.environment()})
        path = self.directory / "charon.vici"
        wait_for(path.exists, 10, "the thief's strongSwan answers", 0.05)
        self.vici = Vici(path)
        for pem in (self.stage.center.files.root, self.stage.center.files.service_ca):
            self.vici.ask("load-cert", {"type": "X509", "flag": "CA", "data": _der(pem)})
        self.vici.ask("load-token", {"module": "token", "handle": self.key_id, "pin": self.pin})
        return self

    def connect(self, peer, source, target):
        """Comes as the gateway whose token it copied. ViciError when it is not let in."""
        there = self.stage.gateways[peer].status()["certificate"]["identity"]
        self.vici.load({NAME: {
            "version": "2",
            "local_addrs": [self.world.address(self.site)],
            "remote_addrs": [self.world.address(peer)],
            "proposals": ["aes256gcm16-prfsha256-ecp256"],
            "mobike": "no", "keyingtries": "1", "unique": "no",
            "local": {"auth": "pubkey", "id": self.identity, "certs": [self.certificate]},
            "remote": {"auth": "pubkey", "id": there,
                "cacerts": [_der(self.stage.center.files.service_ca)]},
            "children": {NAME: {
                "local_ts": [self.stage.service(source) + "/32"],
                "remote_ts": [self.stage.service(target) + "/32"],
                "esp_proposals": ["aes256gcm16"], "mode": "tunnel", "start_action": "none"}}}})
        self.vici.ask("initiate", {"ike": NAME, "child": NAME, "timeout": "15000",
            "loglevel": "-1"})

    def disconnect(self):
        with contextlib.suppress(ViciError):
            self.vici.ask("terminate", {"ike": NAME, "force": "yes", "timeout": "3000",
                "loglevel": "-1"})

    def log(self):
        return (self.directory / "charon.log").read_text(errors="replace")

    def stop(self):
        self.process.stop(timeout=10)

"""A tunnel made by hand between two gateways of the stage, beside Sekisho's own: what a bare IKE
handshake costs between the same two charons, with the same keys in the same tokens and the same
proposals, and what the grants add to it.

    hand = ByHand(stage, "device-maker", "core-hospital", "device-maker/terminal",
        "core-hospital/workstation")
    with hand.ready():
        seconds = hand.initiate()

While it exists both gateways' priv processes are stopped: they would (rightly) end an SA that no
grant names. The gateways must already have had a connection, so that charon has the certificates.
"""

import base64
import contextlib
import os
import signal
import subprocess
import time

from lab.vici import Vici, ViciError

NAME = "byhand"
IKE_PROPOSALS = ["aes256gcm16-prfsha256-ecp256", "aes256gcm16-prfsha256-x25519"]
ESP_PROPOSALS = ["aes256gcm16"]


class ByHand:
    def __init__(self, stage, initiator, responder, source, target):
        self.stage, self.sites = stage, (initiator, responder)
        self.hosts = {initiator: source, responder: target}
        self.links = {}
        self.certificates, self.identities = {}, {}
        pem = open(stage.center.files.service_ca, encoding="ascii").read()
        self.authority = base64.b64decode("".join(
            line for line in pem.splitlines() if not line.startswith("-")))
        for site in self.sites:
            self.links[site] = Vici(self.socket_path(site))
            self.links[site].register("child-updown")
            own = stage.gateways[site].status()["certificate"]
            self.identities[site] = own["identity"]
            self.certificates[site] = self._certificate(site, own["serial"])

    def socket_path(self, site):
        return self.stage.gateways[site].run_dir / "charon" / "charon.vici"

    @contextlib.contextmanager
    def ready(self):
        """Loaded at both sides; afterwards everything of it is gone."""
        privs = [self.stage.gateways[site].pids()["priv"] for site in self.sites]
        for pid in privs:
            os.kill(pid, signal.SIGSTOP)
        try:
            for site in self.sites:
                self.links[site].load(self._connection(site))
                self.links[site].forget_events()
            yield self
            self.terminate()
        finally:
            for site in self.sites:
                with contextlib.suppress(ViciError):
                    self.links[site].ask("unload-conn", {"name": NAME})
            for pid in privs:
                os.kill(pid, signal.SIGCONT)

    def initiate(self):
        """Seconds from sending `initiate` to its reply and the child's event, whichever is later."""
        link = self.links[self.sites[0]]
        begun = time.monotonic()
        _, answered = link.ask("initiate", {"ike": NAME, "child": NAME, "timeout": "20000",
            "loglevel": "-1"})
        told = link.wait_event("child-updown", lambda message: message.get("up") == "yes")
        return max(answered, told) - begun

    def initiate_by_swanctl(self):
        """The same by a whole `swanctl --initiate`: seconds from its start to its end."""
        environment = dict(os.environ, STRONGSWAN_CONF=str(self._swanctl_conf()))
        argv = ["/usr/sbin/swanctl", "--initiate", "--ike", NAME, "--child", NAME, "--loglevel",
            "-1", "--uri", f"unix://{self.socket_path(self.sites[0])}"]
        begun = time.monotonic()
        done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30)
        took = time.monotonic() - begun
        if done.returncode:
            raise ViciError(f"swanctl: {done.stderr.decode(errors='replace').strip()}")
        return took

    def terminate(self):
        for site in self.sites:
            with contextlib.suppress(ViciError):  # the other side's DELETE was faster
                self.links[site].ask("terminate", {"ike": NAME, "force": "yes", "timeout": "5000",
                    "loglevel": "-1"})

    def _connection(self, site):
        other = self.sites[1] if site == self.sites[0] else self.sites[0]
        world, service = self.stage.world, self.stage.service
        return {NAME: {
            "version": "2",
            "local_addrs": [world.address(site)],
            "remote_addrs": [world.address(other)],
            "proposals": IKE_PROPOSALS,
            "mobike": "no", "encap": "no", "dpd_delay": "30s", "keyingtries": "1", "unique": "no",
            "local": {"auth": "pubkey", "id": self.identities[site],
                "certs": [self.certificates[site]]},
            "remote": {"auth": "pubkey", "id": self.identities[other],
                "cacerts": [self.authority]},
            "children": {NAME: {
                "local_ts": [service(self.hosts[site]) + "/32"],
                "remote_ts": [service(self.hosts[other]) + "/32"],
                "esp_proposals": ESP_PROPOSALS,
                "mode": "tunnel", "dpd_action": "clear", "start_action": "none",
                "close_action": "none"}}}}

    def _certificate(self, site, serial):
        """The gateway's own service certificate, as charon holds it."""
        with Vici(self.socket_path(site)) as vici:
            vici.register("list-cert")
            vici.ask("list-certs", {"type": "X509"})
            for _, _, message in vici.events:
                data = message.get("data", b"")
                if message.get("has_privkey") == "yes" and bytes.fromhex(serial) in data:
                    return data
        raise ViciError(f"charon of {site} has no certificate {serial}")

    def _swanctl_conf(self):
        path = self.stage.world.path("swanctl.conf")
        if not path.exists():
            path.write_text("swanctl {\n  load = random openssl pem pkcs1 pkcs8 x509\n}\n")
        return path

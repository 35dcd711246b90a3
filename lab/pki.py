"""The ceremony of a world: every authority makes its keys in a token of its own, with `sekisho`.

    pki = Pki(world, program)
    pki.make()                                   # root, CAs, provider, maker, one gateway a site
    pki.sign_provider_policy(text); pki.sign_site_policy(site, text)

Stores: "authority" (root and device CA, offline), "provider" (service CA, provider, TLS), "maker",
"owner-SITE" (the site owner's key) and "gateway-SITE" (what is in the box). Files lie beside them.
"""

import concurrent.futures
import contextlib
import json
import os
import subprocess
import threading

from lab.center import CenterFiles, CenterToken
from lab.gateway import GatewayFiles
from lab.softhsm import MODULE, TokenStore
from lab.world import CENTER_ADDRESS, CENTER_ADDRESS6, LabError

CRL_URL = f"http://{CENTER_ADDRESS}:8080/crl"
OCSP_URL = f"http://{CENTER_ADDRESS}:8080/ocsp"


class Pki:
    def __init__(self, world, program, provider="regional-vpn", maker="acme"):
        self.world, self.program = world, str(program)
        self.provider_name, self.maker_name = provider, maker
        self.stores, self.tokens, self.locks = {}, {}, {}
        self.sealed = []  # statements, in the order they were made

    # Where things are

    def file(self, name):
        return self.world.path("pki", name)

    def store(self, name):
        if name not in self.stores:
            self.stores[name] = TokenStore(self.world.path("token", name))
        return self.stores[name]

    def token(self, store, label):
        if (store, label) not in self.tokens:
            self.tokens[store, label] = self.store(store).token(label)
        return self.tokens[store, label]

    def token_environment(self, store, label):
        """What names this token to a command that is not run by run()."""
        chosen = self.token(store, label)
        return {**self.store(store).environment(), "SEKISHO_MODULE": MODULE,
            "SEKISHO_TOKEN": chosen.label, "SEKISHO_PIN_FILE": str(chosen.pin_file)}

    def text(self, name):
        return self.file(name).read_text()

    # Running the command line

    def run(self, *argv, store=None, token=None, check=True, env=None):
        """`sekisho …` with a token of a store. Returns its JSON answer; a refusal is a LabError."""
        environment = dict(os.environ, **(env or {}))
        arguments = [self.program, *map(str, argv), "--output", "json"]
        if store:
            environment.update(self.store(store).environment())
            chosen = self.token(store, token)
            arguments += ["--module", MODULE, "--token", chosen.label,
                "--pin-file", str(chosen.pin_file)]
        # SoftHSM rewrites its files at a login; a process that reads them just then sees no token.
        with self.locks.setdefault(store, threading.Lock()) if store else contextlib.nullcontext():
            done = subprocess.run(arguments, env=environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise LabError(f"sekisho {' '.join(map(str, argv))}: "
                f"{(done.stderr.strip() or done.stdout.strip())[-600:]}")
        if not check:
            return done
        return json.loads(done.stdout) if done.stdout.strip() else {}

    # The ceremony

    def make(self):
        """Everything but the policies."""
        self.authorities()
        self.provider()
        self.maker()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self.site, self.world.sites))

    def authorities(self):
        self.run("ceremony", "root", "--organization", "Accreditor", "--name", "Accreditor Root",
            "--out", self.file("root.pem"), store="authority", token="root")
        ca = self.token("authority", "device-ca")
        self.run("ceremony", "device-ca", "--root", self.file("root.pem"), "--organization",
            "Device Certificates", "--name", "Device CA", "--ca-token", ca.label, "--ca-pin-file",
            ca.pin_file, "--out", self.file("device-ca.pem"), store="authority", token="root")
        self.run("key", "request", "--key", "service-ca", "--csr", self.file("service-ca.csr"),
            store="provider", token="service-ca")
        self.run("ceremony", "service-ca", "--root", self.file("root.pem"), "--organization",
            "Service Certificates", "--name", "Service CA", "--csr", self.file("service-ca.csr"),
            "--out", self.file("service-ca.pem"), store="authority", token="root")
        self.run("ceremony", "crl", "--ca", self.file("root.pem"), "--crl", self.file("root.crl"),
            store="authority", token="root")
        self.run("device-ca", "crl", "--ca", self.file("device-ca.pem"), "--crl",
            self.file("device.crl"), store="authority", token="device-ca")
        for role in ("device-ca", "service-ca"):
            self.accredit(role, role, ca=f"{role}.pem")

    def provider(self):
        out = self.file("provider/x").parent
        self.run("ceremony", "provider", "--provider", self.provider_name, "--out", out,
            store="provider", token="provider")
        self.run("key", "request", "--key", "tls", "--csr", self.file("tls.csr"), store="provider",
            token="tls")
        self.run("ceremony", "server", "--ca", self.file("service-ca.pem"), "--csr",
            self.file("tls.csr"), "--organization", "Regional VPN", "--name", "center",
            "--address", CENTER_ADDRESS, "--address", CENTER_ADDRESS6, "--address", "127.0.0.1", "--out", self.file("tls.pem"),
            store="provider", token="service-ca")
        self.run("ceremony", "ocsp", "--ca", self.file("service-ca.pem"), "--csr", out / "ocsp.csr",
            "--organization", "Regional VPN", "--out", self.file("ocsp.pem"), store="provider",
            token="service-ca")
        self.accredit("provider", self.provider_name, **{use: f"provider/{use}.pem"
            for use in ("grant", "policy", "checkpoint")})

    def maker(self):
        self.run("maker", "init", "--out", self.file("maker.pem"), store="maker", token="maker")
        self.accredit("maker", self.maker_name, **{"device-information": "maker.pem"})

    def accredit(self, role, name, verb="grant", days=365, **keys):
        """A statement by the accreditor; its file is kept and goes to the center with the others."""
        out = self.file(f"statement-{len(self.sealed)}-{role}-{name}.jws")
        arguments = ["--role", role, "--id", name, "--out", out, "--days", days]
        for use, key in keys.items():
            arguments += ["--key", f"{use.replace('_', '-')}={self.file(key)}"]
        self.run("accreditation", verb, *arguments, store="authority", token="root")
        self.sealed.append(out.read_text().strip())
        return out

    def serial(self, site):
        return f"AC{list(self.world.sites).index(site) + 1:06}"

    def site(self, site):
        """The owner's key, and a gateway as the maker delivers it."""
        self.run("ceremony", "owner", "--out", self.file(f"owner-{site}.pem"),
            store=f"owner-{site}", token="owner")
        self.device(site)

    def device(self, site, serial=None, name=None):
        """A box: tier 1 key in its token, device information, device certificate, both installed."""
        name = name or site
        store = f"gateway-{name}"
        self.run("maker", "key", "--out", self.file(f"device-{name}.pub"), "--csr",
            self.file(f"device-{name}.csr"), store=store, token="gateway")
        self.run("maker", "information", "--maker", self.maker_name, "--model", "SG-1", "--serial",
            serial or self.serial(site), "--device", self.file(f"device-{name}.csr"), "--out",
            self.file(f"device-{name}.jws"), store="maker", token="maker")
        self.run("device-ca", "sign", "--ca", self.file("device-ca.pem"), "--information",
            self.file(f"device-{name}.jws"), "--statement", self.maker_statement(), "--root",
            self.file("root.pem"), "--csr", self.file(f"device-{name}.csr"), "--crl-url",
            f"{CRL_URL}/device.crl", "--ocsp-url", OCSP_URL, "--out",
            self.file(f"device-{name}.pem"), store="authority", token="device-ca")
        self.run("maker", "install", "--certificate", self.file(f"device-{name}.pem"),
            "--information", self.file(f"device-{name}.jws"), "--maker-key",
            self.file("maker.pem"), store=store, token="gateway")

    def maker_statement(self):
        return next(path for path in sorted(self.file("x").parent.glob("statement-*-maker-*.jws")))

    def revoke_device(self, site, reason="key-compromise", serial=None):
        """Puts a device certificate (the site's, or the one of this serial) on the device CA's list;
        returns the new list."""
        self.run("device-ca", "revoke", "--ca", self.file("device-ca.pem"), "--crl",
            self.file("device.crl"), "--serial", serial or self.device_serial(site), "--reason",
            reason, store="authority", token="device-ca")
        return self.device_crl()

    def device_serial(self, site):
        done = subprocess.run(["openssl", "x509", "-in", str(self.file(f"device-{site}.pem")),
            "-noout", "-serial"], capture_output=True, text=True, check=True)
        return done.stdout.strip().partition("=")[2].lower()

    # Policies

    def sign_provider_policy(self, text, name="provider.policy"):
        return self._sign(text, name, "policy", "provider", "provider")

    def sign_site_policy(self, site, text, name=None):
        return self._sign(text, name or f"site-{site}.policy", "owner", f"owner-{site}", "owner")

    def _sign(self, text, name, key, store, token):
        self.file(name).write_text(text)
        out = self.file(f"{name}.jws")
        self.run("policy", "sign", self.file(name), "--key", key, "--out", out, store=store,
            token=token)
        return out.read_text().strip()

    # What the stage needs

    def statements(self):
        return list(self.sealed)

    def crls(self):
        """The lists that do not come from the center itself: the root's and the device CA's."""
        return [self.file(name).read_bytes() for name in ("root.crl", "device.crl")]

    def device_crl(self):
        return self.file("device.crl").read_bytes()

    def provider_policy(self):
        return self.text("provider.policy.jws").strip()

    def site_policy(self, site):
        return self.text(f"site-{site}.policy.jws").strip()

    def device_information(self, site):
        return self.text(f"device-{site}.jws").strip()

    def device_certificate(self, site):
        return self.text(f"device-{site}.pem")

    def owner_spki(self, site):
        """The owner's public key as base64 of its SubjectPublicKeyInfo."""
        return "".join(line for line in self.text(f"owner-{site}.pem").splitlines()
            if line and not line.startswith("-"))

    def checkpoint_key_file(self):
        """The ledger's verifier key."""
        return self.file("provider/checkpoint.vkey")

    def center_files(self):
        def token(label):
            chosen = self.token("provider", label)
            return CenterToken(str(self.store("provider").config), chosen.label,
                str(chosen.pin_file))
        return CenterFiles(*(str(self.file(name)) for name in ("root.pem", "device-ca.pem",
            "service-ca.pem", "ocsp.pem", "tls.pem")), tls=token("tls"), ca=token("service-ca"),
            provider=token("provider"))

    def gateway_files(self, site):
        token = self.token(f"gateway-{site}", "gateway")
        return GatewayFiles(str(self.file("root.pem")), str(self.file(f"owner-{site}.pem")),
            str(self.store(f"gateway-{site}").config), token.label, str(token.pin_file))

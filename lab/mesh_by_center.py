"""The same mesh with Sekisho, as people make it: each party's own commands, with `sekisho`.

    mesh = CenterMesh(stage, Steps())
    mesh.provider()                     # what is made once: authorities, accreditation, center
    mesh.make(RULES)                    # sites, gateways, policies, persons, agreements
    mesh.connect(RULES)                 # somebody asks for each connection
    mesh.add("clinic-8", EIGHTH_RULES)

Everything that a person does is counted, also what a mesh by hand does not have at all: a key of
each site's owner, the maker's word for each box, persons with two factors, and agreements that both
organizations sign. Only packages are not. A file that another party's command needs is carried.
"""

import base64
import json
import urllib.parse

from lab.center import Center
from lab.mesh import ends, members
from lab.people import STAFF, Person, agreement
from lab.pki import Pki
from lab.stage import (ENGINEERS, MAKER, PROVIDER, agreements, gateway_name,
    provider_policy, requester, site_kind, site_policy, staff)
from lab.world import CENTER_ADDRESS, LabError, wait_for

PROVIDER_PLACE, ACCREDITOR, ISSUER, MAKER_PLACE = "provider", "accreditor", "device-ca", "maker"


# What the steps are for: once for all sites there will be; what a mesh by hand has, too: the
# gateways' own settings, who may reach what, and getting a connection.
ONCE = ("authorities", "center")
CONFIGURATION = ("gateway", "policies", "connections")


def place_of(store, token):
    """Where a token of the lab's ceremony is kept."""
    if store == "authority":
        return ISSUER if token == "device-ca" else ACCREDITOR
    if store.startswith("owner-"):
        return store.partition("-")[2]
    return MAKER_PLACE if store.startswith("gateway-") or store == "maker" else PROVIDER_PLACE


class CountedPki(Pki):
    """The ceremony, with every command of it counted, each token's beginning as well."""

    def __init__(self, steps, *arguments, **more):
        super().__init__(*arguments, **more)
        self.steps = steps

    def token(self, store, label):
        known = (store, label) in self.tokens
        token = super().token(store, label)
        if not known:
            self.steps.command(place_of(store, label), ["sekisho", "token", "init", "--token",
                label], lambda: None)
        return token

    def run(self, *argv, store=None, token=None, check=True, env=None):
        if store:
            self.token(store, token)
        return self.steps.command(place_of(store, token), ["sekisho", *argv],
            lambda: super(CountedPki, self).run(*argv, store=store, token=token, check=check,
                env=env))


class CenterMesh:
    def __init__(self, stage, steps):
        self.stage, self.steps, self.world = stage, steps, stage.world
        self.program = stage.program("sekisho")
        self.configs, self.persons, self.sessions = {}, {}, set()
        self.rules, self.sites, self.version = (), [], 0
        self.pki = stage.pki = CountedPki(steps, self.world, self.program, provider=PROVIDER,
            maker=MAKER)

    # Once for all sites there will ever be

    def provider(self):
        with self.steps.theme("authorities"):
            self.pki.authorities()
            self.pki.provider()
            self.pki.maker()
        with self.steps.theme("center"):
            files = self.pki.center_files()
            center = Center(self.world, files, self.stage.program("sekisho-center"))
            self.stage.center = center
            self.steps.write(PROVIDER_PLACE, self.world.path("center", "as-written.conf"),
                center.config.read_text())
            for path in (files.root, files.device_ca, files.service_ca):
                self.steps.need(PROVIDER_PLACE, path)
            self.steps.command(PROVIDER_PLACE, ["systemctl", "enable", "--now", "sekisho-center"],
                center.start)
            self.steps.made(PROVIDER_PLACE, center.token_file)
            self._config(PROVIDER_PLACE, center.token_file)
            for path in sorted(self.pki.file("x").parent.glob("statement-*.jws")):
                self._do(PROVIDER_PLACE, "accreditation", "publish", path)
            for place, role in ((MAKER_PLACE, f"maker:{MAKER}"), (ISSUER, "device-ca")):
                self._operator(place, role)
            self._do(PROVIDER_PLACE, "device-ca", "publish", self.pki.file("root.crl"))
            self._do(ISSUER, "device-ca", "publish", self.pki.file("device.crl"))

    # Sites

    def make(self, rules):
        self._register(members(rules), rules)
        self.power_on(members(rules))
        self.approve(members(rules))
        self.wait_online(members(rules))

    def add(self, site, rules):
        """Everything for one site more but its gateway's start."""
        self._register([site], rules)

    def _register(self, sites, rules):
        """What people do before the sites' gateways start."""
        changed = self._changed(rules)
        self.rules += tuple(rules)
        self.sites += sites
        self.sessions.clear()  # another day
        for site in sites:
            self._site(site)
            self._gateway(site)
        self._policies(rules)
        with self.steps.theme("persons"):
            for site in sites:
                self._person(staff(site), site, STAFF[site_kind(site)])
                if site in ENGINEERS:
                    self._person(ENGINEERS[site], site, "service-engineer")
        self._agreements(rules)
        with self.steps.theme("acknowledged"):
            for site, others in changed.items():
                done = self._as_person(site, "agreement", "acknowledge", "--all")["items"]
                if not others <= {row["site"] for row in done}:
                    raise LabError(f"{site} has not acknowledged all of {others}: {done}")

    def _changed(self, rules):
        """Who asks for connections to which sites already that now get another policy: the one has
        to acknowledge it within the time there is (H11)."""
        other = {site for rule in rules for site in ends(rule)}
        found = {}
        for source, target in sorted(ends(rule) for rule in self.rules):
            if target in other:
                found.setdefault(source, set()).add(target)
        return found

    def _site(self, site):
        with self.steps.theme("site"):
            owner = self.pki.file(f"owner-{site}.pem")
            self.pki.run("ceremony", "owner", "--out", owner, store=f"owner-{site}", token="owner")
            self._do(PROVIDER_PLACE, "organization", "add", f"org-{site}", "--kind",
                site_kind(site), "--title", site)
            self._do(PROVIDER_PLACE, "site", "add", site, "--organization", f"org-{site}",
                "--owner", owner)
            self._operator(site, f"site:{site}")

    def _gateway(self, site):
        gateway = gateway_name(site)
        with self.steps.theme("device"):
            self.pki.device(site)
            self._do(site, "application", "join", gateway, "--site", site)
            self._do(site, "application", "purchase", gateway, "--maker", MAKER)
            self._do(MAKER_PLACE, "maker", "register", gateway, "--information",
                self.pki.file(f"device-{site}.jws"))
            self._do(ISSUER, "device-ca", "submit", gateway, "--certificate",
                self.pki.file(f"device-{site}.pem"))
            self._do(MAKER_PLACE, "maker", "installed", gateway)
            self._do(MAKER_PLACE, "maker", "delivered", gateway)
            self._do(site, "application", "use", gateway)
        with self.steps.theme("gateway"):
            made = self.stage.gateways[site] = self.stage.gateway(site)
            self.steps.need(site, made.files.root)
            self.steps.write(site, self.world.path("gateway", site, "as-written.conf"),
                made.config.read_text())

    def power_on(self, sites):
        with self.steps.theme("gateway"):
            for site in sites:
                self.steps.command(site, ["systemctl", "enable", "--now", "sekisho-gateway"],
                    self.stage.gateways[site].start)

    def approve(self, sites):
        """The operator knows which gateways were to come, and approves each by its name."""
        def waiting():
            found = {item["gateway"] for item in self.stage.center.api("GET", "/enrolments")["items"]
                if item["state"] == "waiting"}
            return found == set(map(gateway_name, sites))
        wait_for(waiting, 60, "enrolments come in", 0.1)
        with self.steps.theme("gateway"):
            for site in sites:
                self._do(PROVIDER_PLACE, "enrolment", "approve", gateway_name(site))

    def wait_online(self, sites):
        for site in sites:
            self.stage.gateways[site].wait_online(60)

    # Policies

    def _policies(self, rules):
        """The provider's, and those of the sites that have a rule more."""
        self.version += 1
        known = [self.world.sites[site] for site in self.sites]
        with self.steps.theme("policies"):
            self._policy(PROVIDER_PLACE, "provider.policy", provider_policy(known,
                version=self.version), "provider", "provider")
            for site in dict.fromkeys(site for rule in rules for site in ends(rule)):
                text = site_policy(self.world.sites[site], self.rules, version=self.version)
                self._policy(site, f"site-{site}.policy", text, f"owner-{site}", "owner")

    def _policy(self, place, name, text, store, token):
        """Written, then sealed and published in one go with the token of the place."""
        path = self.pki.file(name)
        self.steps.write(place, path, text)
        self._enter(place, "policy", "publish", path, env={"SEKISHO_CONFIG": self.configs[place],
            **self.pki.token_environment(store, token)})

    # Persons and agreements

    def _person(self, name, site, role):
        out = self.world.path("access", name)
        self._do(PROVIDER_PLACE, "person", "add", name, "--organization", f"org-{site}", "--role",
            role, "--natural-person", f"employee {name}", "--title", name, "--mail",
            f"{name}@org-{site}.example", "--out", out)
        otpauth = out.with_name(out.name + ".otpauth")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(otpauth.read_text().strip()).query)
        self.persons[name] = Person(name, f"org-{site}", out.read_text().strip(),
            base64.b32decode(query["secret"][0]))
        # One envelope: the access token and the codes' secret.
        self.steps.need(site, out, key=True)
        self.steps.made(site, otpauth)

    def _agreements(self, rules):
        with self.steps.theme("agreements"):
            for name, (target, source, service, hosts, protocols) in agreements(rules,
                    self.world.sites).items():
                path = self.world.path("agreements", f"{name}.json")
                self.steps.write(target, path, json.dumps(agreement(name, (f"org-{target}",
                    f"org-{source}"), service, hosts, protocols), indent=1, ensure_ascii=False)
                    + "\n")
                self._as_person(target, "agreement", "add", path)
                for site in (target, source):
                    self._as_person(site, "agreement", "sign", name)

    def _as_person(self, site, *argv):
        """By the person who signs for the site, who logs in the first time."""
        name = staff(site)
        more = ("--token-file", self.world.path("access", name))
        if name not in self.sessions:
            self.sessions.add(name)
            self._do(site, "login", "--code", self.persons[name].code(), *more)
        return self._do(site, *argv, *more)

    # Using it

    def connect(self, rules):
        """Somebody behind the first host's gateway asks for each."""
        with self.steps.theme("connections"):
            for _, source, target, service, protocol, port in rules:
                self.ask(source, target, service, protocol, port)

    def ask(self, source, target, service, protocol, port):
        site, host = source.split("/")
        more = ("--person", requester(source)) if service == "remote-maintenance" else ()
        socket = self.stage.gateways[site].run_dir / "gateway.socket"
        return self._enter(site, "gateway", "connect", "--from", host, "--to", target, "--class",
            service, "--protocol", protocol, "--port", port, *more, env={"SEKISHO_SOCKET": socket})

    # Doing

    def _operator(self, place, role):
        out = self.world.path("access", f"operator-{place}")
        self._do(PROVIDER_PLACE, "operator", "add", f"admin-{place}", "--role", role, "--out", out)
        self.steps.need(place, out, key=True)
        self._config(place, out)

    def _config(self, place, token_file):
        """client.conf of who works with the center."""
        root = self.pki.file("root.pem")
        self.steps.need(place, root)
        path = self.world.path("access", f"{place}.conf")
        self.steps.write(place, path, f"center = {CENTER_ADDRESS}\nroot = {root}\n"
            f"token-file = {token_file}\n")
        self.configs[place] = path

    def _do(self, place, *argv):
        return self._enter(place, *argv, env={"SEKISHO_CONFIG": self.configs[place]})

    def _enter(self, place, *argv, env):
        def run():
            text = self.world.run("center", [self.program, *argv, "--output", "json"],
                env=env).stdout
            return json.loads(text) if text.strip() else {}
        return self.steps.command(place, ["sekisho", *argv], run)

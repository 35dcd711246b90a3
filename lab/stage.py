"""The whole story on one stage: the world, the ceremony's keys, the center, the gateways.

    with Stage(sites=("core-hospital", "device-maker")) as stage:
        stage.open()
        connection = stage.connect("device-maker/terminal", "core-hospital/ct")

`open()` does what people do before the first connection, each by its own party: accreditation,
registration of sites and devices, policies, applications, enrolment and its approval (the steps a to
g; h to l follow by themselves). `build` is where the programs are (SEKISHO_BUILD, or build/).
"""

import os
import pathlib
import re
import time

from lab.center import PROVIDER, Center
from lab.gateway import Gateway
from lab.people import STAFF, People, agreement
from lab.pki import Pki
from lab.world import (CENTER_ADDRESS, GROUPS, PATIENCE, REPOSITORY, LabError, World,
    wait_for)

MAKER = "acme"
POOL6 = "fd00:64::/32"
DICOM_PORT = 104
SSH_PORT = 22

# What each site's owner allows, as (rule, from, to, class, protocol, port). The other side has the
# same rule in its own policy: both have to agree.
RULES = (
    ("ct-dicom", "device-maker/terminal", "core-hospital/ct", "remote-maintenance", "tcp", 104),
    ("console-ssh", "device-maker/terminal", "core-hospital/console", "remote-maintenance", "tcp", 22),
    ("results", "test-center/server", "core-hospital/workstation", "results-delivery", "tcp", 7),
    ("device-care", "device-maker/terminal", "test-center/server", "remote-maintenance", "tcp", 7),
    ("referral", "clinic/workstation", "core-hospital/workstation", "regional-sharing", "tcp", 7),
    ("prescription", "core-hospital/workstation", "pharmacy/reception", "regional-sharing", "tcp", 7),
    ("pharmacy-clinic", "clinic/workstation", "pharmacy/reception", "regional-sharing", "tcp", 7),
    ("patient-data", "patient/tablet", "core-hospital/workstation", "regional-sharing", "tcp", 7),
    ("patient-clinic", "patient/tablet", "clinic/workstation", "regional-sharing", "tcp", 7),
    ("patient-pharmacy", "patient/tablet", "pharmacy/reception", "regional-sharing", "tcp", 7),
)

# What an owner writes without the other side's consent: it opens nothing.
ONE_SIDED = {
    "outsider": (("wish", "outsider/terminal", "core-hospital/ct", "remote-maintenance", "tcp", 104),),
}

GROUP_CLASSES = {
    "a": ("remote-maintenance", "results-delivery"),
    "b": ("regional-sharing",),
}


# Who works for the sites that serve others.
ENGINEERS = {"device-maker": "suzuki", "outsider": "engineer-outsider"}


def staff(site):
    """The person who signs and manages for a site's organization."""
    return f"staff-{site}"


def requester(host):
    """Who asks for connections from "site/host"."""
    site = host.split("/")[0]
    return ENGINEERS.get(site, staff(site))


def agreements(rules, sites):
    """What the rules need, as {name: (accessed site, accessing site, class, hosts, protocols)}."""
    found = {}
    for _, source, target, service, protocol, port in rules:
        pair = target.split("/")[0], source.split("/")[0]
        if all(site in sites for site in pair):
            entry = found.setdefault(f"{pair[0]}--{pair[1]}--{service}"[:63].rstrip("-"),
                (*pair, service, set(), {}))
            entry[3].update((source, target))
            entry[4].setdefault(protocol, set()).add(port)
    return found


def gateway_name(site):
    return f"gw-{site}"


def further_classes(rules, sites):
    """The classes beside those of GROUP_CLASSES that the rules between these sites name."""
    known = set(sum(GROUP_CLASSES.values(), ()))
    return sorted({service for _, source, target, service, *_ in rules if service not in known
        and {source.split("/")[0], target.split("/")[0]} <= set(sites)})


def provider_policy(sites, version=1, rules=()):
    """The provider's policy for these sites (doc/protocol.md 2.1). A further class that a rule names
    is of each group that has both sites of the rule."""
    lines = ["sekisho provider-policy 1", f"provider {PROVIDER}", f"version {version}",
        "pool 100.64.0.0/10"]
    sites = list(sites)
    if any(site.prefix6 for site in sites):
        lines.append(f"pool {POOL6}")
    lines += [f"site {site.name} prefix {site.prefix} {site.prefix6}".rstrip() for site in sites]
    for name in ("remote-maintenance", "results-delivery", "regional-sharing",
            *further_classes(rules, [site.name for site in sites])):
        lines.append(f"class {name} duration 2h lease 60s")
    for name, classes in GROUP_CLASSES.items():
        members = [site.name for site in sites if site.name in GROUPS[name] or name in site.groups]
        if len(members) > 1:
            lines.append("\n ".join((f"group {name} sites", *members,
                f"classes {' '.join((*classes, *further_classes(rules, members)))}")))
    return "\n".join(lines) + "\n"


def site_policy(site, rules=RULES, version=1, lease=None, words=None):
    """A site owner's policy (doc/protocol.md 2.2): its hosts, and the rules that concern it. `words`
    {rule's name: text} stand in its rule behind the lease."""
    lines = ["sekisho site-policy 1", f"site {site.name}", f"version {version}"]
    for host in site.hosts:
        lines.append(f"host {host.name} address {host.address} service {host.service}"
            + (f" {host.more}" if host.more else ""))
    for name, source, target, service, protocol, port in (*rules, *ONE_SIDED.get(site.name, ())):
        if site.name in (source.split("/")[0], target.split("/")[0]):
            lines.append(f"allow {name} from {source} to {target} class {service} protocol "
                f"{protocol} port {port} duration 1h" + (f" lease {lease}" if lease else "")
                + (" approval standing factor one" if service == "remote-maintenance" else "")
                + (f" {words[name]}" if name in (words or {}) else ""))
            lines.append(f"test permit from {source} to {target} class {service} protocol "
                f"{protocol} port {port}" + (" factor two" if name in (words or {}) else ""))
    return "\n".join(lines) + "\n"


class Stage:
    def __init__(self, sites=None, build=None, center=None, gateways=None, rules=RULES, lease=None,
            words=None, unsigned=()):
        """`center` and `gateways` are further settings ("section__key": value) of the programs.
        `words` is of site_policy(); the rules named in `unsigned` get no agreement."""
        self.build = pathlib.Path(build or os.environ.get("SEKISHO_BUILD") or REPOSITORY / "build")
        self.world = World(sites=sites)
        self.center_settings, self.gateway_settings = center or {}, gateways or {}
        self.rules, self.lease = rules, lease
        self.words, self.unsigned = words, unsigned
        self.pki = self.center = None
        self.gateways = {}
        self.tokens = {}
        self.people = None
        self.steps = lambda text: None  # the demo's narrator

    def __enter__(self):
        self.world.build()
        return self

    def __exit__(self, kind, error, trace):
        self.close()

    def program(self, name):
        return self.build / "src" / {"sekisho": "ctl", "sekisho-center": "center",
            "sekisho-gateway": "gateway"}[name] / name

    # Opening

    def open(self, start=True):
        """Everything up to gateways that wait for a connection."""
        self.prepare()
        self.start_center()
        self.register()
        if start:
            self.start_gateways()
        return self

    def prepare(self):
        """The offline ceremony: keys, certificates, statements, policies."""
        self.pki = Pki(self.world, self.program("sekisho"), provider=PROVIDER, maker=MAKER)
        self.pki.make()
        self.pki.sign_provider_policy(provider_policy(self.world.sites.values(),
            rules=self.rules))
        for site in self.world.sites.values():
            self.pki.sign_site_policy(site.name, site_policy(site, self.rules, lease=self.lease,
                words=self.words))

    def start_center(self):
        self.center = Center(self.world, self.pki.center_files(), self.program("sekisho-center"),
            **self.center_settings).start()

    def register(self):
        """What the center has to know before a gateway can enrol: accreditations, issuers' lists,
        policies, and for each site the steps a to g of the procedure."""
        api = self.center.api
        self.token("maker", f"maker:{MAKER}")
        self.token("issuer", "device-ca")
        for statement in self.pki.statements():
            api("POST", "/statements", raw=statement)
        for crl in self.pki.crls():
            api("POST", "/crls", raw=crl)
        api("POST", "/policies/provider", raw=self.pki.provider_policy())
        for site in self.world.sites:
            self.register_site(site)
        self.people = self.center.together(self.settle)
        self.people.api = self.person_api

    def settle(self, api):
        """Persons of every organization, and agreements for all that both sides' rules allow."""
        people = People(api)
        for site in self.world.sites:
            people.add(staff(site), f"org-{site}", STAFF[site_kind(site)])
            if site in ENGINEERS:
                people.add(ENGINEERS[site], f"org-{site}", "service-engineer")
        for name, (target, source, service, hosts, protocols) in agreements(
                [rule for rule in self.rules if rule[0] not in self.unsigned],
                self.world.sites).items():
            people.agree((staff(target), staff(source)), agreement(name,
                (f"org-{target}", f"org-{source}"), service, hosts, protocols))
        people.api = None  # of this process only
        return people

    def person_api(self, method, path, body=None, token=None):
        return self.center.api(method, path, body if body is not None else {}, token)

    def token(self, name, *roles):
        """An operator token of these roles; made at the first call."""
        if name not in self.tokens:
            self.tokens[name] = self.center.api("POST", "/operators",
                {"name": name, "roles": list(roles), "days": 30})["token"]
        return self.tokens[name]

    def register_site(self, site):
        owner = self.token(f"admin-{site}", f"site:{site}")
        api = self.center.api
        organization = f"org-{site}"
        api("POST", "/organizations", {"name": organization, "kind": site_kind(site), "title": site})
        api("POST", "/sites", {"name": site, "organization": organization,
            "owner_spki": self.pki.owner_spki(site)})
        api("POST", f"/policies/site/{site}", raw=self.pki.site_policy(site),
            token=owner)
        self.register_device(site, gateway_name(site), self.pki.device_information(site),
            self.pki.device_certificate(site))

    def register_device(self, site, gateway, information, certificate):
        """The steps a to g of one box, each by its own party."""
        maker, issuer = self.tokens["maker"], self.tokens["issuer"]
        owner = self.token(f"admin-{site}", f"site:{site}")
        api, step = self.center.api, f"/procedures/{gateway}"
        api("POST", "/procedures", {"gateway": gateway, "site": site}, token=owner)  # a
        api("POST", f"{step}/purchase", {"maker": MAKER}, token=owner)  # b
        api("POST", f"{step}/register", {"information": information}, token=maker)  # c
        api("POST", f"{step}/certificate", {"certificate": certificate}, token=issuer)  # d
        api("POST", f"{step}/installed", {}, token=maker)  # e
        api("POST", f"{step}/delivered", {}, token=maker)  # f
        api("POST", f"{step}/use", {}, token=owner)  # g

    def gateway(self, site, **settings):
        """A gateway's object, not started."""
        return Gateway(self.world, site, self.pki.gateway_files(site),
            self.program("sekisho-gateway"), **{**self.gateway_settings, **settings})

    def start_gateways(self, sites=None, timeout=60):
        """Starts them, approves their enrolment, and waits until they are ready."""
        sites = list(sites or self.world.sites)
        for site in sites:
            self.gateways[site] = self.gateway(site).start()
        self.approve(len(sites), timeout)
        for site in sites:
            self.gateways[site].wait_online(timeout)

    def approve(self, count, timeout=60):
        """Approves the enrolments of `count` gateways as they come in."""
        approved = set()

        def done():
            for item in self.center.api("GET", "/enrolments")["items"]:
                if item["state"] == "waiting":
                    self.center.api("POST", f"/enrolments/{item['id']}/approve", {})
                    approved.add(item["gateway"])
            return len(approved) >= count
        wait_for(done, timeout, f"{count} enrolments come in", 0.1)

    # Connections

    def request(self, source, target, service="remote-maintenance", protocol="tcp", port=DICOM_PORT,
            person=None, **more):
        """Asks the center in the name of a person of the source's site; returns its answer or raises
        ApiError."""
        return self.center.api("POST", "/connections", {"from": source, "to": target,
            "class": service, "protocol": protocol, "port": port,
            "person": requester(source) if person is None else person, **more})

    def connect(self, source, target, service="remote-maintenance", protocol="tcp", port=DICOM_PORT,
            timeout=20, **more):
        """Asks and waits until both gateways are open; returns the id."""
        identity = self.request(source, target, service, protocol, port, **more)["id"]
        self.wait_connection(identity, "up", timeout)
        return identity

    def connection(self, identity):
        return self.center.api("GET", f"/connections/{identity}")

    def wait_connection(self, identity, state, timeout=20):
        end = time.monotonic() + timeout * PATIENCE
        while True:
            found = self.connection(identity)
            if found["state"] == state:
                return found
            if found["state"] in ("closed", "refused") or time.monotonic() > end:
                raise LabError(f"connection {identity} is {found['state']}, not {state}: {found}")
            time.sleep(0.01)

    def cut(self, identity, reason="the work is done"):
        return self.center.api("POST", f"/connections/{identity}/cut", {"reason": reason})

    def service(self, node):
        """The service address of "site/host": what the other side's programs speak to."""
        return self.world.host(node).service

    # The command line

    def client_config(self):
        path = self.world.path("client.conf")
        if not path.exists():
            path.write_text(f"center = {CENTER_ADDRESS}\nroot = {self.center.files.root}\n"
                f"token-file = {self.center.token_file}\n")
        return path

    def sekisho(self, *argv, node="center", check=True):
        """`sekisho …` as the provider's operator, from a node; what it printed."""
        done = self.world.run(node, [str(self.program("sekisho")), *map(str, argv), "--config",
            str(self.client_config())], check=check)
        return done.stdout + (done.stderr if not check else "")

    # Closing

    def close(self):
        for gateway in self.gateways.values():
            gateway.stop()
        if self.center:
            self.center.stop()
        self.world.cleanup()


def site_kind(site):
    """Of "clinic-7" as of "clinic"."""
    site = re.sub(r"-\d+$", "", site)
    return {"core-hospital": "hospital", "test-center": "laboratory",
        "device-maker": "device-maintenance", "clinic": "clinic", "pharmacy": "pharmacy",
        "patient": "patient", "university": "hospital", "institute": "laboratory",
        "regional": "hospital", "portal": "online-service"}.get(site, "hospital" if site.endswith("-hospital")
        else "device-maintenance" if site.endswith("-maker") else "system-integrator")

"""The world of the demo and the tests, in network namespaces.

                                 inet  (routes; drops private addresses as an ISP does)
      .------------.------------.--'---.-----------.-----------.---------.---------.
   center    core-hospital  test-center  device-maker  clinic-nat  pharmacy  patient  outsider
 203.0.113.10  198.51.100.2  198.18.1.2   192.0.2.2   198.18.2.2   …3.2      …4.2      …5.2
                 |lan0           |lan0        |lan0       |          |lan0     |lan0     |lan0
          192.168.10.0/24  192.168.20.0/24  192.168.10.0/24  clinic  …3.0/24   …4.0/24   …5.0/24
           ct .20           server .10      terminal .10    192.168.200.2
           console .30                     (the hospital's     |lan0
           workstation .40                  own network, too)  192.168.1.0/24

A node is named as in policies: a site's gateway by the site ("core-hospital"), a host behind it by
site/host ("core-hospital/ct"); beside them stand "inet", "center" and "clinic-nat". The namespace
of a node is <prefix>-<node> with the slash as a dash.

The gateways forward and filter nothing: what Sekisho adds is added by lab/gateway.py. Nothing here
prints, nothing outside the namespaces and the world's own directory is touched, and cleaning up
happens at the end of the `with` block, at exit and on SIGINT, SIGTERM and SIGHUP. A world whose
owner was killed outright is removed by the next one that is made (worlds_sweep).
"""

import atexit
import concurrent.futures
import contextlib
import ctypes
import itertools
import os
import pathlib
import pickle
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from lab import pcap

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

CENTER_ADDRESS = "203.0.113.10"
CENTER_ADDRESS6 = "2001:db8:ff::10"
POOL = "100.64.0.0/10"


@dataclass(frozen=True)
class Host:
    name: str
    address: str  # in the site's own network
    service: str  # in the site's service prefix; what the tunnel carries
    more: str = ""  # what its line in the site's policy has behind that: zone, changeover
    lan: str = "lan0"  # the gateway's bridge that it is behind
    router: str = ""  # the gateway's address there, where it is not lan0


@dataclass(frozen=True)
class Site:
    name: str
    wan: str  # the gateway's own address on wan0
    router: str  # its default route
    lan: str  # the gateway's address on lan0; the network is its /24
    prefix: str  # service prefix of the provider's pool
    hosts: tuple
    nat: str = ""  # name of the NAT router in front of it; several sites may share one
    public: str = ""  # the NAT router's outer address
    groups: tuple = ()  # further groups than those of GROUPS that name it
    wan6: str = ""  # IPv6 beside IPv4 on wan0, with ::1 of its /64 as the router
    lan6: str = ""  # the gateway's IPv6 address on lan0; the network is its /64
    prefix6: str = ""  # IPv6 service prefix

    @property
    def address(self):
        """Where others see this site on the internet."""
        return self.public or self.wan

    @property
    def link(self):
        """The node that has the link to the internet."""
        return self.nat or self.name


def _site(name, wan, lan, prefix, nat="", public="", **hosts):
    stem, service = lan.rsplit(".", 1)[0], prefix.rsplit(".", 1)[0]
    return Site(name, wan, wan.rsplit(".", 1)[0] + ".1", lan, prefix,
        tuple(Host(host, f"{stem}.{n}", f"{service}.{n}") for host, n in hosts.items()), nat,
        public)


SITES = {site.name: site for site in (
    _site("core-hospital", "198.51.100.2", "192.168.10.1", "100.64.2.0/24",
        ct=20, console=30, workstation=40),
    _site("test-center", "198.18.1.2", "192.168.20.1", "100.64.4.0/24", server=10),
    # The same private network as the hospital, on purpose: nothing may depend on it.
    _site("device-maker", "192.0.2.2", "192.168.10.1", "100.64.3.0/24", terminal=10),
    _site("clinic", "192.168.200.2", "192.168.1.1", "100.64.5.0/24",
        nat="clinic-nat", public="198.18.2.2", workstation=10),
    _site("pharmacy", "198.18.3.2", "192.168.3.1", "100.64.6.0/24", reception=10),
    _site("patient", "198.18.4.2", "192.168.4.1", "100.64.7.0/24", tablet=10),
    _site("outsider", "198.18.5.2", "192.168.5.1", "100.64.8.0/24", terminal=10),
)}

GROUPS = {
    "a": ("core-hospital", "test-center", "device-maker"),
    "b": ("core-hospital", "clinic", "pharmacy", "patient"),
    "c": ("outsider",),
}

def clinics(count, nat="town-nat", public="198.18.9.2"):
    """Sites clinic-1 … behind one NAT router with one public address, all with the same private
    network inside (the pool's prefixes 100.64.101.0/24 and up): a town whose clinics share a line."""
    return tuple(Site(f"clinic-{n}", f"192.168.200.{n + 1}", "192.168.200.1", "192.168.1.1",
        f"100.64.{100 + n}.0/24", (Host("workstation", "192.168.1.10", f"100.64.{100 + n}.10"),),
        nat, public, ("b",)) for n in range(1, count + 1))


PRIVATE = "10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16"

INET_RULES = f"""
table inet isp {{
	counter private {{ }}
	chain pre {{
		type filter hook prerouting priority raw; policy accept;
		ip saddr {{ {PRIVATE} }} counter name private drop
		ip daddr {{ {PRIVATE} }} counter name private drop
	}}
}}
"""

NAT_RULES = """
table ip nat {
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" masquerade
	}
}
table ip filter {
	chain forward {
		type filter hook forward priority filter; policy accept;
		iifname "wan0" ct state new drop
	}
}
"""

NEEDED = ("ip", "nft", "ping", "tcpdump")
CLONE_NEWNET = 0x40000000
MARK = "SEKISHO_WORLD"  # environment of every process of a world: how a stray one is known


# How much slower than usual everything is: programs built with sanitizers take their time. Multiplies
# every limit that is there to end a test that hangs; what a requirement says stays as it is.
PATIENCE = float(os.environ.get("SEKISHO_PATIENCE") or 1)

# How the sanitizers' reports begin, and what they say when they cannot give one.
SANITIZER = re.compile(r"runtime error: |ERROR: [A-Za-z]+Sanitizer|[A-Za-z]+Sanitizer: "
    r"|[A-Za-z]+Sanitizer has encountered|[A-Za-z]+Sanitizer CHECK failed")
SANITIZER_BYTES = 4000  # of one report


class LabError(Exception):
    """The world could not be built, or a program in it did not do what it had to."""


class LabTimeout(LabError):
    """wait_for gave up."""


class SanitizerError(LabError):
    """A program did what the sanitizer it was built with forbids."""


def sanitizer_refuse(outputs):
    """Raises what sanitizers report in programs' outputs, pairs of (whose, text), if they do."""
    reports = []
    for who, text in outputs:
        found = SANITIZER.search(text)
        if found:
            start = text.rfind("\n", 0, found.start()) + 1
            reports.append(f"{who}: {text[start:start + SANITIZER_BYTES]}")
    if reports:
        raise SanitizerError("\n".join(reports))


def wait_for(predicate, timeout, what="the condition", interval=0.02):
    """Waits until predicate() is true and returns what it returned; LabTimeout after `timeout` s
    (times PATIENCE)."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end:
            raise LabTimeout(f"{what}: not within {timeout} s")
        time.sleep(interval)


def missing():
    """Why no world can be built here, or None: the reason for a test's SKIP."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    reason = tools_missing(*NEEDED)
    if reason:
        return reason
    probe = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    if probe.returncode:
        return f"may not make namespaces: {probe.stderr.strip()}"
    return None


def tools_missing(*tools):
    """Which of the programs are not installed, as the reason for a SKIP, or None."""
    lacking = [tool for tool in tools if not shutil.which(tool, path=tool_path())]
    return f"needs {', '.join(lacking)} (dev/setup installs it)" if lacking else None


class Process:
    """A program started in a namespace. `log` holds its standard output and error."""

    def __init__(self, node, argv, popen, log):
        self.node, self.argv, self.popen, self.log = node, argv, popen, log

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        """What it has said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self, timeout=5, first=signal.SIGTERM):
        """Ends it and its session: first the gentle signal, SIGKILL after `timeout` seconds."""
        for number in (first, signal.SIGKILL):
            if not self.alive():
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout * PATIENCE)
        return self.popen.returncode

    def kill(self):
        """Ends it at once, as a power cut would."""
        return self.stop(first=signal.SIGKILL)

    def wait(self, timeout):
        """Its exit status; LabTimeout when it still runs after `timeout` seconds."""
        try:
            return self.popen.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise LabTimeout(f"{self.argv[0]} on {self.node} still runs after {timeout} s") from None

    def expect_text(self, text, timeout=10):
        """Waits until it has said `text`; fails at once when it ends before."""
        def said():
            ended = not self.alive()
            if text in self.text():
                return True
            if ended:
                raise LabError(f"{self.argv[0]} on {self.node} ended with {self.popen.returncode} "
                    f"before it said \"{text}\": {self.text()[-600:].strip()}")
            return False
        wait_for(said, timeout, f"{self.argv[0]} on {self.node} says \"{text}\"")


class Capture:
    """tcpdump on one interface of one node. Everything that was sent before a question is in it: a
    packet that the kernel had to drop makes the question a LabError, never a smaller count."""

    COUNTS = re.compile(r"(\d+) packets? captured[,\n]\s*(?:tcpdump: )?(\d+) packets? received by "
        r"filter[,\n]\s*(?:tcpdump: )?(\d+) packets? dropped by kernel")

    def __init__(self, process, path):
        self.process, self.path = process, path

    def packets(self, predicate=None):
        """What was captured so far (or until stop), of it what `predicate(packet)` takes."""
        if self.process.alive():
            self._settle()
        found = pcap.packets_read(self.path)
        return [packet for packet in found if predicate is None or predicate(packet)]

    def count(self, predicate=None):
        return len(self.packets(predicate))

    def contains(self, text):
        """Whether the text went by, in one packet or over several of one direction."""
        wanted = text.encode() if isinstance(text, str) else text
        packets = self.packets()
        return (any(wanted in packet.data for packet in packets)
            or any(wanted in stream for stream in pcap.stream_bytes(packets)))

    def stop(self):
        """Ends the capture; packets() goes on to answer."""
        if self.process.alive():
            self._settle()
            self.process.stop(first=signal.SIGINT)
        return self

    def _settle(self):
        # Asked by SIGUSR1, tcpdump says how much the kernel has for it and how much it has written.
        wait_for(self._written, 10, f"tcpdump on {self.process.node} writes what it has")

    def _written(self):
        before = len(self.COUNTS.findall(self.process.text()))
        os.kill(self.process.pid, signal.SIGUSR1)
        counts = wait_for(lambda: self.COUNTS.findall(self.process.text())[before:], 5,
            f"tcpdump on {self.process.node} tells its counts", interval=0.002)
        captured, received, dropped = map(int, counts[-1])
        if dropped:
            raise LabError(f"the capture on {self.process.node} lost {dropped} packets")
        return captured == received


class World:
    """One world. Build it by `with World() as world:`; `sites` limits what is built."""

    _numbers = itertools.count()

    def __init__(self, prefix=None, sites=None, directory=None):
        """`sites` are names of SITES, or Sites."""
        number = next(World._numbers)
        self.prefix = prefix or f"sk{base36(os.getpid())}" + (f"x{number}" if number else "")
        unknown = {site for site in sites or () if isinstance(site, str)} - set(SITES)
        if unknown:
            raise LabError(f"no such site: {', '.join(sorted(unknown))}")
        chosen = [SITES[site] if isinstance(site, str) else site for site in sites or SITES]
        self.sites = {site.name: site for site in chosen}
        self.directory = pathlib.Path(directory or worlds_directory() / self.prefix)
        self.processes = []
        self.nodes = []
        self._logs = itertools.count(1)
        self._closed = False
        self._owner = os.getpid()

    # Building

    def __enter__(self):
        return self.build()

    def __exit__(self, kind, error, trace):
        self.cleanup()

    def build(self):
        """Makes everything; on a fault nothing is left. Returns the world itself."""
        reason = missing()
        if reason:
            raise LabError(reason)
        worlds_sweep()
        if self._namespaces() or self.directory.exists():
            raise LabError(f"a world {self.prefix} exists already")
        _guard(self)
        try:
            self.directory.mkdir(parents=True, mode=0o755)
            (self.directory / "owner").write_text(_identity(os.getpid()))
            self._build_nodes()
            for node in self.nodes:
                self._configure(node)
        except BaseException:
            self.cleanup()
            raise
        return self

    def _build_nodes(self):
        self.nodes = ["inet", "center"]
        links = [("center", "wan0", "inet", "center")]
        for site in self.sites.values():
            self.nodes.append(site.name)
            if site.nat:
                links.append((site.name, "wan0", site.nat, self._inside(site)))
            if site.link not in self.nodes or not site.nat:
                self.nodes += [site.nat] if site.nat else []
                links.append((site.link, "wan0", "inet", self._outside(site)))
            for host in site.hosts:
                self.nodes.append(f"{site.name}/{host.name}")
                links.append((f"{site.name}/{host.name}", "eth0", site.name, host.name))
        lines = [f"netns add {self.namespace(node)}" for node in self.nodes]
        lines += [f"link add {a_if} netns {self.namespace(a)} type veth "
            f"peer name {b_if} netns {self.namespace(b)}" for a, a_if, b, b_if in links]
        _ip(None, lines)

    def _configure(self, node):
        lines, forwards, rules = ["link set lo up"], True, None
        if node == "inet":
            lines += _address("center", "203.0.113.1")
            lines += _address("center", CENTER_ADDRESS6.split("::")[0] + "::1")
            for site in self.sites.values():
                if site.wan6:
                    lines += _address(self._outside(site), site.wan6.split("::")[0] + "::1")
            for interface, address in {self._outside(site): site.address
                    for site in self.sites.values()}.items():
                lines += _address(interface, address.rsplit(".", 1)[0] + ".1")
            rules = INET_RULES
        elif node == "center":
            lines += _address("wan0", CENTER_ADDRESS) + ["route add default via 203.0.113.1"]
            lines += _address("wan0", CENTER_ADDRESS6)
            lines += [f"route add default via {CENTER_ADDRESS6.split('::')[0]}::1"]
            forwards = False
        elif node in self.sites:
            lines += self._gateway_lines(self.sites[node])
        elif "/" in node:
            site, name = node.split("/")
            address = self.host(node).address
            lines += _address("eth0", address)
            router = self.host(node).router or (self.sites[site].lan6 if ":" in address
                else self.sites[site].lan)
            lines += [f"route add default via {router}"]
            forwards = False
        else:
            behind = self._behind(node)
            site = behind[0]
            if len(behind) > 1:
                lines += ["link add lan0 type bridge"]
                for other in behind:
                    lines += [f"link set {other.name} master lan0", f"link set {other.name} up"]
            lines += _address("wan0", site.public) + _address("lan0", site.router)
            lines += [f"route add default via {site.public.rsplit('.', 1)[0]}.1"]
            rules = NAT_RULES
        _ip(self.namespace(node), lines)
        self.call(node, _kernel_settings, forwards)
        if rules:
            self.run(node, ["nft", "-f", "-"], input=rules)

    def _gateway_lines(self, site):
        lines = _address("wan0", site.wan) + [f"route add default via {site.router}"]
        lines += ["link add lan0 type bridge"] + _address("lan0", site.lan)
        if site.wan6:
            lines += _address("wan0", site.wan6)
            lines += [f"route add default via {site.wan6.split('::')[0]}::1"]
        if site.lan6:
            lines += _address("lan0", site.lan6)
        for lan, router in {host.lan: host.router for host in site.hosts if host.router}.items():
            lines += [f"link add {lan} type bridge"] + _address(lan, router)
        for host in site.hosts:
            lines += [f"link set {host.name} master {host.lan}", f"link set {host.name} up"]
        return lines

    def _behind(self, nat):
        return [site for site in self.sites.values() if site.nat == nat]

    def _inside(self, site):
        """The NAT router's interface toward a site: its lan0, or a port of that bridge."""
        return "lan0" if len(self._behind(site.nat)) == 1 else site.name

    def _outside(self, site):
        """The interface of inet that leads to a site."""
        return site.name if len(self._behind(site.nat)) == 1 or not site.nat else site.nat

    # Asking

    def namespace(self, node):
        """The name of the node's namespace, for `ip netns`."""
        return f"{self.prefix}-{node.replace('/', '-')}"

    def host(self, node):
        """The Host of "site/host"."""
        site, _, name = node.partition("/")
        for host in self.sites[site].hosts:
            if host.name == name:
                return host
        raise LabError(f"no host {node}")

    def address(self, node):
        """A node's own address: wan0 of a gateway or of the center, eth0 of a host."""
        if node == "center":
            return CENTER_ADDRESS
        return self.host(node).address if "/" in node else self.sites[node].wan

    def path(self, *parts):
        """A path in the world's directory; the folder it is in is made."""
        path = self.directory.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    # Doing

    def run(self, node, argv, timeout=60, check=True, **options):
        """Runs a program in the node's namespace and waits. Returns subprocess.CompletedProcess with
        text output. A fault (check=True) is a LabError with what the program said."""
        argv = [str(word) for word in argv]
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        environment = self._environment(options.pop("env", None))
        try:
            done = subprocess.run(self._exec(node) + argv, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, errors="replace",
                timeout=timeout * PATIENCE, env=environment, **options)
        except subprocess.TimeoutExpired:
            raise LabTimeout(f"{argv[0]} on {node} still ran after {timeout} s") from None
        sanitizer_refuse([(f"{argv[0]} on {node}", done.stderr)])
        if check and done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-600:]
            raise LabError(f"{' '.join(argv)[:200]} on {node} ended with {done.returncode}: {said}")
        return done

    def spawn(self, node, argv, log=None, env=None, ready=None, timeout=15, **options):
        """Starts a program in the node's namespace; it is ended with the world. Its output goes to
        `log` (a name in the world's directory). With `ready`, waits until it has said that text."""
        argv = [str(word) for word in argv]
        name = log or f"log/{node.replace('/', '-')}-{os.path.basename(argv[0])}-{next(self._logs)}.log"
        path = self.path(name)
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(path, "ab") as out:
            popen = subprocess.Popen(self._exec(node) + argv, stdout=out, stderr=out,
                env=self._environment(env), start_new_session=True, **options)
        process = Process(node, argv, popen, path)
        self.processes.append(process)
        if ready:
            process.expect_text(ready, timeout)
        return process

    def call(self, node, function, *arguments, timeout=30):
        """Runs a Python function in a child process inside the node's network namespace (files are
        the caller's) and returns its result; its exception is raised here. Costs about 2 ms."""
        timeout *= PATIENCE
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _call_child(writer, f"/run/netns/{self.namespace(node)}", function, arguments, timeout)
        os.close(writer)
        with open(reader, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
        if not data:
            raise LabTimeout(f"{function.__name__} on {node} gave no answer within {timeout} s")
        good, value = pickle.loads(data)
        if not good:
            raise value
        return value

    def socket(self, node, family, kind, protocol=0):
        """A socket of the node's network, for the caller's own process. A socket stays in the
        network it was made in, so only the making needs to be there."""
        made = []

        def make():
            try:
                _enter(f"/run/netns/{self.namespace(node)}")
                made.append(socket.socket(family, kind, protocol))
            except OSError as error:
                made.append(error)
        # Only this thread changes its network, and it ends.
        maker = threading.Thread(target=make)
        maker.start()
        maker.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def ping(self, node, address, count=1, timeout=1, source=None, size=56):
        """How many of `count` echo requests were answered, each within `timeout` seconds."""
        argv = ["ping", "-n", "-q", "-c", count, "-i", "0.1", "-W", timeout, "-s", size, address]
        if source:
            argv[1:1] = ["-I", source]
        done = self.run(node, argv, timeout=count * 0.1 + timeout + 20, check=False)
        words = done.stdout.split(" received")[0].split()
        if " received" not in done.stdout:
            if "unreachable" in done.stderr:
                return 0
            raise LabError(f"ping on {node}: {done.stderr.strip() or done.stdout.strip()}")
        return int(words[-1])

    def tcp_probe(self, node, address, port, timeout=1.0, source=None):
        """"open", "refused", "unreachable" or "timeout"."""
        return self.call(node, _tcp_probe, address, port, timeout, source)

    def tcp_probes(self, node, targets, timeout=0.4):
        """tcp_probe() of several (address, port), all at once: their answers, in the same order."""
        return self.call(node, _tcp_probes, targets, timeout)

    def capture(self, node, interface="any", filter="", bulk=False):
        """Starts to capture; returns when it really does. On `any`, what is forwarded counts twice
        (in and out); the interfaces of inet are named by site, so name one. `bulk` is for megabytes:
        nothing is lost, but a question may have to wait a second for the kernel's buffer."""
        number = next(self._logs)
        # Some AppArmor profiles let tcpdump write only to names that end so.
        path = self.path("capture", f"{number}.pcap")
        # Immediate mode has buffers of one fixed size, that of the largest packet after offloading.
        mode = ["-B", "65536"] if bulk else ["-B", "32768", "--immediate-mode"]
        argv = ["tcpdump", "-i", interface, "-n", "-U", "-s", "65600", "-Z", "root", "-w", path]
        process = self.spawn(node, argv + mode + ([filter] if filter else []),
            log=f"capture/{number}.log", ready="listening on")
        return Capture(process, path)

    # Ending

    def cleanup(self):
        """Ends every process, removes every namespace and the directory. May be called twice. Then
        a SanitizerError if one of the programs has reported something."""
        if self._closed or os.getpid() != self._owner:
            return
        for process in self.processes:
            if process.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < end and any(process.alive() for process in self.processes):
            time.sleep(0.01)
        said = {process.log.name: process.text() for process in self.processes}
        _remove(self.prefix, self.directory)
        for process in self.processes:
            process.popen.wait()
        self._closed = True
        _unguard(self)
        sanitizer_refuse(said.items())

    def leftovers(self):
        """What of this world still exists, as a list of texts; empty after cleanup()."""
        left = [f"namespace {name}" for name in self._namespaces()]
        left += [f"process {pid}" for pid in _marked(self.prefix)]
        left += [f"mount {mount}" for mount in _mounts(self.directory)]
        if self.directory.exists():
            left.append(f"directory {self.directory}")
        return left

    # Inside

    def _namespaces(self):
        return _namespaces(self.prefix)

    def _exec(self, node):
        if node not in self.nodes:
            raise LabError(f"no node {node}")
        return ["ip", "netns", "exec", self.namespace(node)]

    def _environment(self, extra):
        environment = dict(os.environ, PATH=tool_path(), LC_ALL="C.UTF-8")
        environment.update({key: str(value) for key, value in (extra or {}).items()})
        environment[MARK] = self.prefix
        return environment


def base36(number):
    """Lower-case base 36: short enough for names with a process id in them."""
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
        if not number:
            return digits


def worlds_directory():
    """Where worlds keep their files. Short: paths of unix sockets end at 107 bytes."""
    base = os.environ.get("TMPDIR")
    return pathlib.Path(base) if base else pathlib.Path("/run/sekisho-lab")


def worlds_sweep():
    """Removes the worlds whose owner is dead; returns their prefixes."""
    swept = []
    for owner in worlds_directory().glob("sk*/owner"):
        with contextlib.suppress(OSError, ValueError):
            text = owner.read_text()
            if text and text != _identity(int(text.split()[0])):
                _remove(owner.parent.name, owner.parent)
                swept.append(owner.parent.name)
    return swept


def _address(interface, address):
    if ":" in address:  # without looking for duplicates, so that it is good at once
        return [f"addr add {address}/64 dev {interface} nodad", f"link set {interface} up"]
    return [f"addr add {address}/24 dev {interface}", f"link set {interface} up"]


def _ip(namespace, lines):
    argv = ["ip"] + (["-n", namespace] if namespace else []) + ["-batch", "-"]
    done = subprocess.run(argv, input="\n".join(lines) + "\n", capture_output=True, text=True,
        env=dict(os.environ, PATH=tool_path()))
    if done.returncode:
        raise LabError(f"ip in {namespace or 'the host'}: {done.stderr.strip()}")


def _kernel_settings(forwards):
    # rp_filter off: tunnels bring packets in by another interface than the route back.
    settings = {"ip_forward": int(forwards), "conf/all/rp_filter": 0, "conf/default/rp_filter": 0}
    for interface in os.listdir("/proc/sys/net/ipv4/conf"):
        settings[f"conf/{interface}/rp_filter"] = 0
    for name, value in settings.items():
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write(str(value))
    with open("/proc/sys/net/ipv6/conf/all/forwarding", "w", encoding="ascii") as file:
        file.write(str(int(forwards)))


def _tcp_probe(address, port, timeout, source):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        try:
            if source:
                probe.bind((source, 0))
            probe.connect((address, port))
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timeout"
        except OSError:
            return "unreachable"
        return "open"


def _tcp_probes(targets, timeout):
    # The threads are in the network of the one that makes them.
    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        return list(pool.map(lambda target: _tcp_probe(*target, timeout, None), targets))


def _enter(namespace):
    """The calling thread goes into a network namespace, given by its file."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(namespace, "rb") as handle:
        if libc.setns(handle.fileno(), CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)


def _call_child(writer, namespace, function, arguments, timeout):
    # Never returns: the child must not run the caller's exit handlers.
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            _enter(namespace)
            answer = pickle.dumps((True, function(*arguments)))
        except Exception as error:
            try:
                answer = pickle.dumps((False, error))
                pickle.loads(answer)  # some exceptions can be written but not read again
            except Exception:
                answer = pickle.dumps((False, LabError(f"{type(error).__name__}: {error}")))
        with open(writer, "wb") as pipe:
            pipe.write(answer)
    finally:
        os._exit(0)


def _remove(prefix, directory):
    names = _namespaces(prefix)
    pids = set(_marked(prefix))
    for name in names:
        done = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True,
            env=dict(os.environ, PATH=tool_path()))
        pids |= {int(pid) for pid in done.stdout.split()}
    for number, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
        pids = {pid for pid in pids - {os.getpid()} if _running(pid)}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while time.monotonic() < end and any(_running(pid) for pid in pids):
            time.sleep(0.01)
    for mount in reversed(_mounts(directory)):
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
    if names:
        _ip(None, [f"netns del {name}" for name in names])
    shutil.rmtree(directory, ignore_errors=True)
    if directory.parent.name == "sekisho-lab":
        with contextlib.suppress(OSError):  # another world is still in it
            directory.parent.rmdir()


def _namespaces(prefix):
    with contextlib.suppress(FileNotFoundError):
        return sorted(name for name in os.listdir("/run/netns") if name.startswith(prefix + "-"))
    return []


def _marked(prefix):
    """The processes that carry a world's mark in their environment."""
    wanted = f"{MARK}={prefix}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as file:
                if wanted in file.read().split(b"\0") and _running(int(pid)):
                    found.append(int(pid))
    return found


def _mounts(directory):
    with open("/proc/self/mounts", encoding="utf-8", errors="replace") as file:
        points = [line.split()[1] for line in file]
    return [point for point in points if point == str(directory)
        or point.startswith(f"{directory}/")]


def _running(pid):
    """Whether the process runs; a zombie does not, whoever has to collect it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _identity(pid):
    """A process by its id and start time, so that a reused id is another one; "" when it is dead."""
    if not _running(pid):
        return ""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return f"{pid} {file.read().rpartition(')')[2].split()[19]}"


def tool_path():
    """PATH with the sbin folders, which a plain user's PATH and some containers lack."""
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


_guarded = []


def _guard(world):
    if not _guarded and threading.current_thread() is threading.main_thread():
        atexit.register(_cleanup_all)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)
    _guarded.append(world)


def _unguard(world):
    if world in _guarded:
        _guarded.remove(world)


def _end(number, _frame):
    # Exit handlers and `with` blocks then run, as they do for SIGINT.
    raise SystemExit(128 + number)


def _cleanup_all():
    for world in list(_guarded):
        world.cleanup()

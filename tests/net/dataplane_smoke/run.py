#!/usr/bin/python3
"""Two gateways with real charon, nftables, SoftHSM and kernel, driven through gateway_driver.

    net: router   ga, gb: gateways (wan0, lan0)   ha, hb: hosts, both 192.168.1.10
    service addresses: 100.64.1.10 is ha, 100.64.2.10 is hb

What is shown, one TAP line each: nothing passes without a lease even with an SA up; TCP and ping
pass through the address mapping with one; a lease that is removed, cut or runs out stops the flow and
it does not resume; loading the rules again keeps leases; a foreign change is noticed; charon's hang
and death are noticed; what is listed is what is there. Timings are printed.

    run.py PATH_OF_GATEWAY_DRIVER [auto|kernel|libipsec]
"""
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

DRIVER = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
DATAPLANE = sys.argv[2] if len(sys.argv) > 2 else "auto"
TAG = "dataplane-%d" % os.getpid()
CLIENT = next((p for p in ("/usr/lib/%s-linux-gnu/pkcs11/p11-kit-client.so" % os.uname().machine,
                           "/usr/lib64/pkcs11/p11-kit-client.so") if os.path.exists(p)), "")
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
TOOLS = ("ip", "nft", "pki", "p11-kit", "softhsm2-util", "pkcs11-tool", "openssl", "ping")
HOST = "192.168.1.10"
SERVICE = {"ga": "100.64.1.10", "gb": "100.64.2.10"}
NODES = ("net", "ga", "gb", "ha", "hb")
A_KEY = HOST + " " + SERVICE["gb"]            # at the initiator's gateway: real source
B_KEY = SERVICE["ga"] + " " + SERVICE["gb"]   # at the responder's: before DNAT

children = []


def sh(*args, **kw):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw).stdout


def ns(node):
    return ["ip", "netns", "exec", "%s-%s" % (TAG, node)]


def start(args, **kw):
    child = subprocess.Popen(args, **kw)
    children.append(child)
    return child


def topology():
    def link(node, name, address, other, other_name, other_address):
        sh("ip", "link", "add", name, "netns", "%s-%s" % (TAG, node), "type", "veth",
           "peer", "name", other_name, "netns", "%s-%s" % (TAG, other))
        for n, i, a in ((node, name, address), (other, other_name, other_address)):
            if a:
                sh("ip", "-n", "%s-%s" % (TAG, n), "addr", "add", a, "dev", i)
            sh("ip", "-n", "%s-%s" % (TAG, n), "link", "set", i, "up")

    for node in NODES:
        sh("ip", "netns", "add", "%s-%s" % (TAG, node))
        sh("ip", "-n", "%s-%s" % (TAG, node), "link", "set", "lo", "up")
    sh(*ns("net"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for number, gateway in enumerate(("ga", "gb"), 1):
        space, host = "%s-%s" % (TAG, gateway), "h" + gateway[1]
        link(gateway, "wan0", "198.51.%d.2/24" % number, "net", "w" + gateway, "198.51.%d.1/24" % number)
        link(gateway, "lan0", "192.168.1.1/24", host, "eth0", HOST + "/24")
        sh("ip", "-n", space, "route", "add", "default", "via", "198.51.%d.1" % number)
        sh("ip", "-n", "%s-%s" % (TAG, host), "route", "add", "default", "via", "192.168.1.1")


def credentials(folder):
    """A service CA, and for each gateway a key that never leaves its token."""
    def pki(*args):
        return sh("pki", *args)

    with open(folder + "/ca.key", "wb") as out:
        out.write(pki("--gen", "--type", "ecdsa", "--size", "256"))
    with open(folder + "/ca.der", "wb") as out:
        out.write(pki("--self", "--ca", "--type", "ecdsa", "--in", folder + "/ca.key",
                      "--dn", "CN=Service CA", "--lifetime", "2"))
    servers = {}
    for gateway in ("ga", "gb"):
        here = "%s/%s-token" % (folder, gateway)
        os.makedirs(here + "/tokens")
        with open(here + "/softhsm2.conf", "w") as out:
            out.write("directories.tokendir = %s/tokens\nobjectstore.backend = file\n" % here)
        env = dict(os.environ, SOFTHSM2_CONF=here + "/softhsm2.conf")
        sh("softhsm2-util", "--init-token", "--free", "--label", gateway, "--so-pin", "12345678",
           "--pin", "1234", env=env)
        tool = ("pkcs11-tool", "--module", SOFTHSM, "-l", "--pin", "1234", "--token-label", gateway)
        sh(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "01", "--label", "tier2", env=env)
        sh(*tool, "--read-object", "--type", "pubkey", "--id", "01", "-o", here + "/pub.der", env=env)
        with open("%s/%s.der" % (folder, gateway), "wb") as out:
            out.write(pki("--issue", "--type", "pub", "--in", here + "/pub.der", "--cacert",
                          folder + "/ca.der", "--cakey", folder + "/ca.key", "--lifetime", "1",
                          "--dn", "CN=%s.example" % gateway, "--san", "%s.example" % gateway))
        start(["p11-kit", "server", "--foreground", "--provider", SOFTHSM, "--name", here + "/socket",
               "pkcs11:token=" + gateway], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        servers[gateway] = "unix:path=" + here + "/socket"
        wait_for(lambda: os.path.exists(here + "/socket"), 5, "p11-kit server")
    return servers


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited %s s for %s" % (seconds, what))


class Gateway:
    def __init__(self, name, folder, server):
        self.name, self.events, self.replies = name, [], queue.Queue()
        self.space = "%s-%s" % (TAG, name)
        self.child = start(ns(name) + [DRIVER, "%s/%s" % (folder, name), DATAPLANE, CLIENT, server],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                           stderr=open("%s/%s.err" % (folder, name), "w"))
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            line = line.rstrip("\n")
            if line.startswith("reply "):
                self.replies.put(line[6:])
            else:
                self.events.append((time.monotonic(), line[6:]))
        self.replies.put("died")

    def ask(self, command, want=None, seconds=15):
        self.child.stdin.write(command + "\n")
        try:
            answer = self.replies.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError("%s: no answer to %s" % (self.name, command))
        match = re.match(r"(\S+) (.*) (\d+) us$", answer)
        assert match, "%s: %s: %s" % (self.name, command, answer)
        if want is not None:
            assert match[1] == str(want), "%s: %s: %s" % (self.name, command, answer)
        self.usec = int(match[3])
        return match[2]

    def seen(self, pattern, since=0.0):
        return [e for t, e in list(self.events) if t >= since and re.search(pattern, e)]

    def expect(self, pattern, seconds, since=0.0):
        wait_for(lambda: self.seen(pattern, since), seconds, "%s: event %s" % (self.name, pattern))
        return self.seen(pattern, since)[0]

    def collect(self, command):
        begin = time.monotonic()
        self.ask(command, want="ok" if command == "list" else 0)
        return [e for t, e in list(self.events) if t >= begin]


def pings(count=3):
    out = subprocess.run(ns("ha") + ["ping", "-c", str(count), "-i", "0.2", "-W", "1", SERVICE["gb"]],
                         stdout=subprocess.PIPE, text=True).stdout
    return int(re.search(r"(\d+) received", out)[1])


SERVER = """
import socket, threading
s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(('', 104)); s.listen(8)
def echo(c):
    try:
        while True:
            d = c.recv(1000)
            if not d: break
            c.sendall(d)
    except OSError: pass
while True:
    c, peer = s.accept()
    print('from', peer[0], flush=True)
    threading.Thread(target=echo, args=(c,), daemon=True).start()
"""
# Sends a byte every 50 ms and prints the time of every echo.
STREAM = """
import socket, sys, time, threading
s = socket.create_connection(('%s', 104), 3); s.setsockopt(6, 1, 1)
def send():
    try:
        while True: s.sendall(b'x'); time.sleep(0.05)
    except OSError: pass
threading.Thread(target=send, daemon=True).start()
s.settimeout(None)
while s.recv(1000): print(time.monotonic(), flush=True)
""" % SERVICE["gb"]


class Stream:
    def __init__(self):
        self.times = []
        self.child = start(ns("ha") + ["/usr/bin/python3", "-c", STREAM], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            self.times.append(float(line))

    def alive(self, seconds=0.5):
        count = len(self.times)
        time.sleep(seconds)
        return len(self.times) > count

    def stop(self):
        self.child.kill()
        self.child.wait()


def connects():
    code = "import socket; s=socket.create_connection(('%s',104),1.5); s.sendall(b'a'); print(s.recv(9))"
    return subprocess.run(ns("ha") + ["/usr/bin/python3", "-c", code % SERVICE["gb"]],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).returncode == 0


# At the router between the sites: nothing of the inside may be seen in clear.
LEAK = b"""table ip leak {
  counter c { }
  chain seen { type filter hook forward priority 0
    ip daddr { 100.64.0.0/10, 192.168.0.0/16 } counter name c
  }
}
"""


class World:
    """The tests run in order; each begins where the one before it ended."""

    def __init__(self, folder):
        self.folder = folder
        servers = credentials(folder)
        self.a, self.b = (Gateway(g, folder, servers[g]) for g in ("ga", "gb"))
        self.server = start(ns("hb") + ["/usr/bin/python3", "-c", SERVER], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)

    def open(self, protocol, port, mark, msec=60000):
        self.b.ask("open %s %s %s %s %s" % (B_KEY, protocol, port, mark, msec), 0)
        self.a.ask("open %s %s %s %s %s" % (A_KEY, protocol, port, mark, msec), 0)

    def close(self, protocol, port, mark):
        self.a.ask("close %s %s %s %s" % (A_KEY, protocol, port, mark), 0)
        self.b.ask("close %s %s %s %s" % (B_KEY, protocol, port, mark), 0)

    def cut(self, mark):
        self.a.ask("cut %s" % mark, 0)
        cut = self.a.usec
        self.b.ask("cut %s" % mark, 0)
        return cut

    def test_gateways_are_set_up(self):
        for gateway in (self.a, self.b):
            why = gateway.ask("setup", 0)
            self.kernel = why.startswith("The kernel encrypts")
            print("# %s: %s" % (gateway.name, why))
            print("# %s: rules, bridge, routes, settings in %d us" % (gateway.name, gateway.usec))
            gateway.ask("load", 0)
            print("# %s: rules loaded again in %d us" % (gateway.name, gateway.usec))
            gateway.ask("pairs %s %s" % (SERVICE[gateway.name], HOST), 0)
        assert self.a.ask("wan wan0", 0) == "198.51.1.2"
        self.a.ask("wan nothing0", 1)
        assert not self.a.seen("^foreign") and not self.b.seen("^foreign"), "own change taken for foreign"

    def test_charon_starts_and_takes_the_token(self):
        for gateway in (self.a, self.b):
            begin = time.monotonic()
            gateway.ask("start", 0)
            gateway.expect("^charon alive", 5)
            print("# %s: alive after %.0f ms" % (gateway.name, (time.monotonic() - begin) * 1e3))
            assert gateway.ask("version", "ok").startswith("5.")
            gateway.ask("token 01 9999", "refused")
            gateway.ask("token 01 1234", "ok")
            print("# %s: load-token %d us" % (gateway.name, gateway.usec))

    def peers(self, extra={}):
        for me, number, peer, other in ((self.a, 1, "gb", 2), (self.b, 2, "ga", 1)):
            me.ask("peer %s 198.51.%d.2 198.51.%d.2 %s.example %s.example %s/%s.der %s/%s.der "
                   "%s/ca.der %d c1 %s %s%s" % (peer, number, other, me.name, peer, self.folder, me.name,
                                   self.folder, peer, self.folder, self.if_id, SERVICE[me.name], SERVICE[peer], extra.get(me.name, "")), "ok")

    def test_sa_comes_up(self):
        self.if_id = 7 if self.kernel else 0
        if self.kernel:
            self.a.ask("tunnel skx7 7 %s" % SERVICE["gb"], 0)
            self.b.ask("tunnel skx7 7 %s" % SERVICE["ga"], 0)
        self.peers()
        print("# load-conn %d us" % self.b.usec)
        self.a.ask("initiate gb nothing 3000", "refused")
        self.a.ask("initiate gb c1 5000", "ok")
        print("# initiate %d us" % self.a.usec)
        for gateway in (self.a, self.b):
            assert gateway.expect("^child-up", 2).split()[2] == "c1"
            gateway.expect("^ike-up", 2)

    def test_list_tells_the_sa(self):
        sas = [e for e in self.a.collect("list") if e.startswith("sa ")]
        assert len(sas) == 1 and re.match(
            "sa gb c1 ESTABLISHED INSTALLED gb.example 100.64.1.10/32 100.64.2.10/32 ", sas[0]), sas

    def test_sa_without_lease_passes_nothing(self):
        assert pings() == 0
        assert not connects()

    def test_lease_at_one_end_passes_nothing(self):
        self.a.ask("open %s 1 2048 5 60000" % A_KEY, 0)
        assert pings(2) == 0
        self.a.ask("close %s 1 2048 5" % A_KEY, 0)
        self.cut(5)

    def test_lease_opens_ping_and_tcp_through_the_mapping(self):
        self.open(1, 2048, 17)
        print("# lease open %d us" % self.a.usec)
        self.open(6, 104, 18)
        assert pings() == 3
        assert connects()
        line = self.server.stdout.readline().strip()
        assert line == "from " + SERVICE["ga"], line
        self.a.expect(r"^flow new 192.168.1.10 100.64.2.10 6 104 mark=18", 1)
        self.a.expect(r"^flow (new|end) 192.168.1.10 100.64.2.10 1 2048 mark=17", 1)

    def test_other_port_stays_shut(self):
        code = "import socket; socket.create_connection(('%s',105),1)" % SERVICE["gb"]
        begin = time.monotonic()
        assert subprocess.run(ns("ha") + ["/usr/bin/python3", "-c", code],
                              stderr=subprocess.DEVNULL).returncode != 0
        assert time.monotonic() - begin > 0.9, "refused, not dropped"

    def test_key_of_another_connection_is_refused(self):
        self.a.ask("open %s 6 104 99 60000" % A_KEY, 1)
        leases = [e for e in self.a.collect("leases") if e.startswith("lease")]
        assert len(leases) == 2 and any("mark=18" in e for e in leases), leases

    def test_renewal_counts_from_now(self):
        self.open(6, 104, 18, 2000)
        time.sleep(1.2)
        self.open(6, 104, 18, 60000)
        print("# lease renew %d us" % self.a.usec)
        lease = [e for e in self.a.collect("leases") if "mark=18" in e][0]
        assert int(re.search(r"left=(\d+)", lease)[1]) > 58000, lease

    def test_renewals_lose_nothing(self):
        stream = Stream()
        wait_for(lambda: stream.times, 3, "the stream")
        for _ in range(100):
            self.open(6, 104, 18)
        assert stream.alive()
        gaps = [y - x for x, y in zip(stream.times, stream.times[1:])]
        assert max(gaps) < 0.25, max(gaps)
        stream.stop()

    def test_reload_keeps_leases_and_flows(self):
        stream = Stream()
        wait_for(lambda: stream.times, 3, "the stream")
        for gateway in (self.a, self.b):
            gateway.ask("load", 0)
        assert stream.alive()
        assert len([e for e in self.a.collect("leases") if e.startswith("lease")]) == 2
        flows = [e for e in self.a.collect("flows 18") if e.startswith("flow listed")]
        assert flows and all("mark=18" in e for e in flows), flows
        stream.stop()

    def test_close_stops_and_does_not_resume(self):
        stream = Stream()
        wait_for(lambda: stream.times, 3, "the stream")
        assert stream.alive()
        begin = time.monotonic()
        self.a.ask("close %s 6 104 18" % A_KEY, 0)
        closed = self.a.usec
        cut = self.cut(18)
        self.b.ask("close %s 6 104 18" % B_KEY, 0)
        time.sleep(1)
        late = [t for t in stream.times if t > begin + 0.05]
        print("# lease close %d us, conntrack cut %d us, last echo %+.1f ms" %
              (closed, cut, (stream.times[-1] - begin) * 1e3))
        assert not late, "%d echoes after the close" % len(late)
        self.a.expect(r"^flow end .* 6 104 mark=18 out=\d+/[1-9]\d* in=\d+/[1-9]\d* timed", 1, begin)
        self.open(6, 104, 18)
        assert not stream.alive(2.5), "the old flow resumed under a new lease"
        assert connects(), "a new flow does not pass"
        stream.stop()

    def test_lease_runs_out_by_itself(self):
        self.open(6, 104, 18, 60000)
        stream = Stream()
        wait_for(lambda: stream.times, 3, "the stream")
        self.open(6, 104, 18, 1500)
        begin = time.monotonic()
        time.sleep(2.5)
        last = stream.times[-1] - begin
        print("# lease of 1500 ms: last echo after %.0f ms" % (last * 1e3))
        assert 1.0 < last < 1.6, last
        assert len([e for e in self.a.collect("leases") if e.startswith("lease")]) == 1
        self.a.ask("close %s 6 104 18" % A_KEY, 0)
        stream.stop()
        self.cut(18)

    def test_mapping_removed_is_closed(self):
        self.open(6, 104, 18)
        assert connects()
        self.a.ask("pairs", 0)
        self.cut(18)
        assert not connects()
        self.a.ask("pairs %s %s" % (SERVICE["ga"], HOST), 0)
        assert connects()

    def test_second_child_of_a_running_peer(self):
        extra = {"ga": " c2 100.64.1.11 100.64.2.10", "gb": " c2 100.64.2.10 100.64.1.11"}
        self.a.ask("pairs %s %s 100.64.1.11 192.168.1.11" % (SERVICE["ga"], HOST), 0)
        self.peers(extra)
        self.a.ask("initiate gb c2 5000", "ok")
        print("# second child %d us" % self.a.usec)
        sas = [e for e in self.a.collect("list") if e.startswith("sa ")]
        assert sorted(e.split()[2] for e in sas) == ["c1", "c2"], sas
        self.a.ask("terminate gb c2 2000", "ok")
        self.a.expect("^child-down gb c2", 2)
        assert connects(), "the first child suffered"

    def test_elements_cost_little(self):
        print("# %s" % self.a.ask("bench 300", 0))

    def test_foreign_table_deletion_is_noticed(self):
        assert not self.a.seen("^foreign"), self.a.seen("^foreign")
        begin = time.monotonic()
        sh(*ns("ga"), "nft", "delete table ip sekisho")
        event = self.a.expect("^foreign table-gone nft", 2, begin)
        print("# noticed within %.1f ms: %s" % ((time.monotonic() - begin) * 1e3, event))
        self.a.ask("open %s 6 104 18 60000" % A_KEY, 2)
        self.a.ask("check", 1)
        self.a.ask("load", 0)
        self.a.ask("check", 0)
        self.a.ask("pairs %s %s" % (SERVICE["ga"], HOST), 0)
        assert not connects(), "leases came back by themselves"
        self.open(6, 104, 18)
        assert connects()

    def test_other_foreign_changes_are_noticed(self):
        for change, what in (("add element ip sekisho svc2real { 100.64.1.99 : 192.168.1.99 }", "elements-changed"),
                             ("flush chain ip sekisho forw", "rules-changed"), ("flush ruleset", "table-gone")):
            begin = time.monotonic()
            sh(*ns("gb"), "nft", change)
            self.b.expect("^foreign %s nft" % what, 2, begin)
        self.b.ask("load", 0)
        self.b.ask("pairs %s %s" % (SERVICE["gb"], HOST), 0)
        sh(*ns("gb"), "nft", "add table ip somebody")
        time.sleep(0.3)
        assert not self.b.seen("foreign", begin + 0.5)

    def test_sa_terminated_leaks_nothing(self):
        self.open(1, 2048, 17)
        assert pings() == 3
        self.a.ask("terminate gb - 3000", "ok")
        print("# terminate %d us" % self.a.usec)
        self.b.expect("^child-down", 2)
        self.a.ask("terminate gb - 3000", "refused")
        sh(*ns("net"), "nft", "-f", "-", input=LEAK)
        assert pings() == 0
        counted = sh(*ns("net"), "nft", "list", "counters").decode()
        sh(*ns("net"), "nft", "delete", "table", "ip", "leak")
        assert "packets 0 " in counted, counted

    def test_hang_is_noticed(self):
        self.a.ask("initiate gb c1 5000", "ok")
        assert pings() == 3
        begin = time.monotonic()
        self.a.ask("signal %d" % signal.SIGSTOP, 0)
        event = self.a.expect("^charon down", 5, begin)
        print("# SIGSTOP noticed after %.1f s: %s" % (time.monotonic() - begin, event))
        self.a.ask("list", "timeout")
        self.a.ask("close %s 1 2048 17" % A_KEY, 0)
        self.cut(17)
        begin = time.monotonic()
        self.a.ask("signal %d" % signal.SIGCONT, 0)
        self.a.expect("^charon alive", 5, begin)
        assert pings(2) == 0, "the filter depended on charon"
        assert any("INSTALLED" in e for e in self.a.collect("list"))

    def test_death_is_noticed_and_survived(self):
        begin = time.monotonic()
        self.b.ask("signal %d" % signal.SIGKILL, 0)
        self.b.expect("^charon down", 2, begin)
        print("# SIGKILL noticed after %.1f ms" % ((time.monotonic() - begin) * 1e3))
        self.b.expect("^charon-ended", 2, begin)
        begin = time.monotonic()
        self.b.ask("start", 0)
        self.b.expect("^charon alive", 5, begin)
        self.b.ask("token 01 1234", "ok")
        self.peers()
        self.b.ask("flush", "ok")
        self.a.ask("terminate gb - 3000")
        self.a.ask("initiate gb c1 8000", "ok")
        self.open(1, 2048, 17)
        assert pings() == 3
        self.a.ask("unload gb", "ok")
        self.a.ask("unload gb", "refused")

    def test_drivers_end_cleanly(self):
        for gateway in (self.a, self.b):
            gateway.child.stdin.write("quit\n")
            assert gateway.child.wait(10) == 0, gateway.child.returncode
            with open("%s/%s.err" % (self.folder, gateway.name)) as text:
                words = text.read()
            assert "Sanitizer" not in words and "runtime error" not in words, words[:2000]


def run():
    with tempfile.TemporaryDirectory(prefix=TAG + "-") as folder:
        failed, number = 0, 0
        try:
            topology()
            world = World(folder)
            tests = [n for n in World.__dict__ if n.startswith("test_")]
            for number, name in enumerate(tests, 1):
                begin = time.monotonic()
                try:
                    getattr(world, name)()
                    print("ok %d %s # %.1f s" % (number, name[5:], time.monotonic() - begin), flush=True)
                except AssertionError as why:
                    failed += 1
                    print("# %s" % why)
                    print("not ok %d %s" % (number, name[5:]), flush=True)
                    break
            print("1..%d" % number)
            if failed and os.environ.get("KEEP"):
                shutil.copytree(folder, os.environ["KEEP"], dirs_exist_ok=True,
                                ignore=shutil.ignore_patterns("*.vici", "socket"))
        finally:
            for child in reversed(children):
                if child.poll() is None:
                    child.terminate()
                    try:
                        child.wait(5)
                    except subprocess.TimeoutExpired:
                        child.kill()
            for node in NODES:
                subprocess.run(["ip", "netns", "del", "%s-%s" % (TAG, node)], stderr=subprocess.DEVNULL)
    return 1 if failed else 0


def main():
    if os.geteuid() != 0:
        print("1..0 # SKIP needs root")
        return 0
    missing = [t for t in TOOLS if not shutil.which(t)] + ([] if CLIENT else ["p11-kit-client.so"])
    if missing:
        print("1..0 # SKIP needs " + ", ".join(missing))
        return 0
    return run()


sys.exit(main())

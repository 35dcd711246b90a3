"""A mesh of sites: which hosts may speak with which, and looking whether exactly those can.

    servers_start(world)                      # echo on every host and port that could be asked
    expect(reached(world) == permitted(rules))
"""

import errno
import select
import socket
import time

from lab.services import echo_start
from lab.stage import RULES
from lab.world import SITES, Host, Site

# The site that comes later: a clinic that may speak with everybody of group B.
EIGHTH = Site("clinic-8", "198.18.6.2", "198.18.6.1", "192.168.8.1", "100.64.9.0/24",
    (Host("workstation", "192.168.8.10", "100.64.9.10"),), groups=("b",))
EIGHTH_RULES = (
    ("referral-8", "clinic-8/workstation", "core-hospital/workstation", "regional-sharing", "tcp",
        7),
    ("clinics", "clinic-8/workstation", "clinic/workstation", "regional-sharing", "tcp", 7),
    ("pharmacy-8", "clinic-8/workstation", "pharmacy/reception", "regional-sharing", "tcp", 7),
    ("patient-8", "patient/tablet", "clinic-8/workstation", "regional-sharing", "tcp", 7),
)
SITES_ALL = (*SITES.values(), EIGHTH)
PORTS = tuple(sorted({rule[5] for rule in RULES}))


def ends(rule):
    """The sites of a rule: who asks, who is asked."""
    return rule[1].split("/")[0], rule[2].split("/")[0]


def site_pairs(rules):
    """Every two sites that have a rule, once, in the rules' order."""
    return list(dict.fromkeys(tuple(sorted(ends(rule))) for rule in rules))


def members(rules):
    """The sites that have a rule at all, in their order."""
    named = {site for rule in rules for site in ends(rule)}
    return [site.name for site in SITES_ALL if site.name in named]


def permitted(rules):
    return {(source, target, port) for _, source, target, _, _, port in rules}


def hosts(world):
    return [f"{site.name}/{host.name}" for site in world.sites.values() for host in site.hosts]


def servers_start(world):
    """Every host answers on every port, so that only the way to it can be what is shut."""
    for node in hosts(world):
        for port in PORTS:
            echo_start(world, node, "tcp", port)


def reached(world, seconds=0.5):
    """Every (source, target, port) of hosts of different sites where data come back."""
    found = set()
    for source in hosts(world):
        targets = [(target, world.host(target).service, port) for target in hosts(world)
            if target.split("/")[0] != source.split("/")[0] for port in PORTS]
        found |= {(source, *answer) for answer in world.call(source, _echo_all, targets, seconds)}
    return found


def _echo_all(targets, seconds, data=b"mesh"):
    """Asks all of them at once; which gave the data back."""
    waiting, good = {}, []
    for name, address, port in targets:
        peer = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        peer.setblocking(False)
        if peer.connect_ex((address, port)) in (0, errno.EINPROGRESS):
            waiting[peer] = (name, port)
    unsent, end = set(waiting), time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        readable, writable, _ = select.select(set(waiting) - unsent, unsent, [],
            max(0, end - time.monotonic()))
        for peer in (*readable, *writable):
            try:
                if peer in unsent:
                    unsent.remove(peer)
                    peer.sendall(data)
                elif peer.recv(len(data)) == data:
                    good.append(waiting.pop(peer))
                else:
                    waiting.pop(peer)
            except OSError:
                waiting.pop(peer)
    return good

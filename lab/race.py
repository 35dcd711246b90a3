"""Many requests at once to the center's operator interface: what may count once is asked for again
and again over many connections, and the answers are counted.

    found = race(stage, [Job("approve", token, "/work-orders/…/approve", {"approval": …})], 10000)
    found["approve"]            # Counter({409: 9999, 200: 1})

Several jobs take turns, so that they race with each other, too. Every connection stands before the
first request is sent, and each has one request waiting at any time.
"""

import collections
import http.client
import json
import multiprocessing
import ssl
from dataclasses import dataclass

from lab.center import OPERATOR_PORT
from lab.world import PATIENCE, LabError

PROCESSES, LINKS = 6, 8  # connections of each
WAIT_SEC = 200


@dataclass(frozen=True)
class Job:
    name: str
    token: str
    path: str  # behind /api/v1
    body: dict


def race(stage, jobs, uses):
    """`uses` requests of all jobs together, about as many of each; by each job's name a Counter of
    the statuses that were answered."""
    return stage.world.call("center", _race, str(stage.pki.file("root.pem")), jobs, uses,
        timeout=WAIT_SEC + 20)


def _race(root, jobs, uses):
    results, start = multiprocessing.Queue(), multiprocessing.Barrier(PROCESSES)
    parts = [multiprocessing.Process(target=_part, args=(root, jobs, range(number, uses, PROCESSES),
        start, results)) for number in range(PROCESSES)]
    for part in parts:
        part.start()
    found = {job.name: collections.Counter() for job in jobs}
    for _ in parts:
        answer = results.get(timeout=WAIT_SEC * PATIENCE)
        if isinstance(answer, str):
            raise LabError(f"a part of the race ended: {answer}")
        for name, counts in answer.items():
            found[name] += counts
    for part in parts:
        part.join()
    return found


def _part(root, jobs, numbers, start, results):
    try:
        results.put(_ask(root, jobs, numbers, start))
    except Exception as error:
        start.abort()  # the others do not wait for this one
        results.put(f"{type(error).__name__}: {error}")


def _ask(root, jobs, numbers, start):
    context = ssl.create_default_context(cafile=root)
    context.check_hostname = False
    links = [http.client.HTTPSConnection("127.0.0.1", OPERATOR_PORT, context=context, timeout=60)
        for _ in range(LINKS)]
    for link in links:
        link.connect()
    start.wait(60)
    found = {job.name: collections.Counter() for job in jobs}
    for at in range(0, len(numbers), LINKS):
        # By turns that shift: with equal ones a connection would only ever have the same job.
        asked = [(link, jobs[(number // PROCESSES + at // LINKS) % len(jobs)])
            for link, number in zip(links, numbers[at:at + LINKS])]
        for link, job in asked:  # all of them wait at once
            link.request("POST", "/api/v1" + job.path, json.dumps(job.body), {
                "Authorization": f"Bearer {job.token}", "Content-Type": "application/json"})
        for link, job in asked:
            answer = link.getresponse()
            answer.read()
            found[job.name][answer.status] += 1
    return found

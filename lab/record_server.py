"""record_server.py ADDRESS PORT CERTIFICATE KEY AUTHORITY: a web server for records of patients and for
bookings, over TLS, for who has a certificate of the authority; a program, started by web.RecordServer.

    GET /                    a page: the person's own records and bookings
    GET /records/PATIENT     what there is of a patient; a patient's own only
    POST /records/PATIENT    one more, any bytes
    POST /bookings           a moment, as text; 409 when somebody has it
    GET /bookings            all of them
    GET /live                a line every tenth of a second, without an end

Who may do what follows from the certificate: the name is its CN, the kind its OU. It says "listening"
once it does, "access ADDRESS NAME KIND METHOD PATH STATUS" for each request, and "refused ADDRESS
REASON" for who has no certificate that is good.
"""

import hashlib
import html
import http.server
import json
import ssl
import sys
import threading
import time

RECORD_BYTES_MAX = 32 << 20
CARE = {"clinic", "hospital", "checkup", "pharmacy"}
ACCESS = {
    ("GET", ""): CARE | {"patient"},
    ("GET", "live"): CARE | {"patient"},
    ("GET", "records"): {"patient", "clinic", "hospital", "pharmacy"},
    ("POST", "records"): {"clinic", "hospital", "checkup"},
    ("POST", "bookings"): {"patient", "clinic"},
    ("GET", "bookings"): {"hospital"},
}


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.records = {}  # patient: [{"from", "type", "sha256", "text"}]
        self.bookings = {}  # moment: who

    def record_add(self, patient, sender, kind, body):
        text = body.decode(errors="replace") if kind.startswith("text/") else ""
        item = {"from": sender, "type": kind, "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(), "text": text}
        with self.lock:
            self.records.setdefault(patient, []).append(item)
        return item

    def book(self, moment, who):
        """Whether the moment was still free."""
        with self.lock:
            free = moment not in self.bookings
            self.bookings.setdefault(moment, who)
            return free

    def of(self, patient):
        with self.lock:
            return list(self.records.get(patient, ()))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, context):
        super().__init__(address, Handler)
        self.context, self.store = context, Store()

    def finish_request(self, request, client_address):
        # The handshake is the connection's own thread's: nobody waits for another's.
        try:
            link = self.context.wrap_socket(request, server_side=True)
        except OSError as error:
            print("refused", client_address[0], error, flush=True)
            return
        with link:
            super().finish_request(link, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self):
        super().setup()
        subject = dict(pair for part in self.request.getpeercert()["subject"] for pair in part)
        self.name = subject.get("commonName", "")
        self.kind = subject.get("organizationalUnitName", "")

    def log_message(self, *_):
        pass  # answer() says it

    def answer(self, status, body=b"", kind="application/json"):
        # Said before it is sent: who has the answer finds the line.
        print("access", self.client_address[0], self.name, self.kind, self.command, self.path, status,
            flush=True)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def permitted(self):
        """The last part of the path of what may be done, or None after the refusal."""
        _, first, *rest = self.path.split("/")
        patient = rest[0] if rest else ""
        if self.kind not in ACCESS.get((self.command, first), ()) or (first == "records"
                and self.kind == "patient" and patient != self.name):
            self.close_connection = True  # its body is not read
            self.answer(403)
            return None, None
        return first, patient

    def do_GET(self):
        first, patient = self.permitted()
        store = self.server.store
        if first == "":
            self.answer(200, self.page().encode(), "text/html; charset=utf-8")
        elif first == "records":
            self.answer(200, json.dumps(store.of(patient)).encode())
        elif first == "bookings":
            self.answer(200, json.dumps(store.bookings).encode())
        elif first == "live":
            self.live()

    def do_POST(self):
        first, patient = self.permitted()
        if first is None:
            return
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= RECORD_BYTES_MAX:
            self.close_connection = True
            self.answer(400)
            return
        body = self.rfile.read(length)
        if first == "bookings":
            free = self.server.store.book(body.decode(), self.name)
            self.answer(201 if free else 409)
            return
        item = self.server.store.record_add(patient, self.name,
            self.headers.get("Content-Type", ""), body)
        self.answer(201, json.dumps(item).encode())

    def page(self):
        store = self.server.store
        rows = [f"<li>{html.escape(item['from'])}: {html.escape(item['text'] or item['type'])}</li>"
            for item in store.of(self.name)]
        rows += [f"<li>{html.escape(moment)}</li>" for moment, who in store.bookings.items()
            if who == self.name]
        return (f"<!doctype html><title>{html.escape(self.name)}</title>"
            f"<h1>{html.escape(self.name)} さん</h1><ul>{''.join(rows)}</ul>")

    def live(self):
        print("access", self.client_address[0], self.name, self.kind, "GET", "/live", 200, flush=True)
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b"tick\n")
                time.sleep(0.1)
        except OSError:
            pass  # the reader has gone, or was cut off


def main(address, port, certificate, key, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with Server((address, int(port)), context) as server:
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""nginx as the HTTPS server of a host, with a certificate of the hospital's own (lab/tls.py).

    web = Nginx(world, "north-hospital/server", authority.server("slides.north.lan")).start()
    (web.files / "slide.tiff").write_bytes(data)
    body, said = web.get("university/server", service_address, "/slide.tiff")
"""

from lab.world import wait_for

HTTPS_PORT = 443

CONFIG = """
daemon off;
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ }}
http {{
  types {{ }}
  default_type application/octet-stream;
  log_format who '$remote_addr "$request" $status $bytes_sent "$http_range"';
  access_log {directory}/access.log who;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 100000;
  server {{
    listen {address}:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    root {directory}/files;
  }}
}}
"""


class Nginx:
    def __init__(self, world, node, credentials, address=None):
        """`address` is where it listens, if not at the node's own."""
        self.world, self.node, self.credentials = world, node, credentials
        self.address = address or world.address(node)
        self.directory = world.path("nginx", node.replace("/", "-"), "x").parent
        self.files = self.directory / "files"
        self.files.mkdir(exist_ok=True)
        self.process = None

    def start(self):
        config = self.directory / "nginx.conf"
        config.write_text(CONFIG.format(directory=self.directory, address=self.address,
            port=HTTPS_PORT, certificate=self.credentials.certificate, key=self.credentials.key))
        self.process = self.world.spawn(self.node, ["nginx", "-p", self.directory, "-e",
            self.directory / "error.log", "-c", config])
        wait_for(lambda: self.world.tcp_probe(self.node, self.address, HTTPS_PORT) == "open", 10,
            f"nginx on {self.node}")
        return self

    def get(self, node, address, path, timeout=10):
        """From another node, by curl, at the address where that node finds it: the body and "", or
        None and what curl said."""
        done = self.world.run(node, ["curl", "-q", "--silent", "--show-error", "--fail",
            "--noproxy", "*", "--max-time", timeout, "--cacert", self.credentials.authority,
            "--connect-to", f"::{address}:{HTTPS_PORT}",
            f"https://{self.credentials.name}{path}"], timeout=timeout + 20, check=False)
        return (done.stdout, "") if done.returncode == 0 else (None, done.stderr.strip())

    def log(self):
        """One line a request: who, what, status, bytes, range."""
        path = self.directory / "access.log"
        return path.read_text().splitlines() if path.exists() else []

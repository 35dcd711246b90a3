"""Real mail servers in a world, and who speaks to them.

    MailServer     Exim on a node, with a spool, boxes and a certificate of its own
    NoticeServer   the center's: what comes for notice.example goes to `sekisho notice take`
    mail_send      a mail from any node, by SMTP
    MailError      the server's refusal

A server's files lie in the world's directory. All of its processes are in a process namespace of its
own, with Exim itself as the first: when that one has ended the kernel has ended all of them, also a
delivery that had gone its own way. So nothing writes to the files any more when stop() returns.
"""

import email
import email.policy
import os
import pwd
import shutil
import smtplib
import ssl
import subprocess
import time

from lab.world import LabError, wait_for

PROGRAM = "/usr/sbin/exim4"
USER = "Debian-exim"
SMTP_PORT = 2525  # the center's

CONFIG = """primary_hostname = {name}
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/pid
local_interfaces = {address}
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {dir}/mail.pem
tls_privatekey = {dir}/mail.key
{options}
host_lookup =
rfc1413_hosts =
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = accept
keep_environment = PATH
never_users =
begin acl
acl_rcpt:
{acl}
begin routers
{routers}
everybody:
  driver = accept
  transport = file
begin transports
file:
  driver = appendfile
  file = {dir}/mail/all
  user = {user}
  create_directory = false
{transports}
begin retry
* * F,1h,2s
"""


class MailError(LabError):
    """The server refused: `code` is the one of SMTP."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text

    def __reduce__(self):
        return MailError, (self.code, self.text)  # it may cross a process


class MailServer:
    """`options`, `acl` (of a recipient), `routers` and `transports` are Exim's own text."""

    options = routers = transports = ""
    acl = "  accept"

    def __init__(self, world, node="center", address="127.0.0.1", port=SMTP_PORT, name="mail.test"):
        self.world, self.node, self.address, self.port = world, node, address, port
        self.name = name
        self.dir = world.path("mail", node.replace("/", "-"), "x").parent
        for part in ("spool", "log", "mail"):
            (self.dir / part).mkdir()
        self.certificate = self.dir / "mail.pem"
        self.process = None

    def self_signed(self):
        """Makes a certificate that only who knows it trusts."""
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={self.name}", "-addext",
            f"subjectAltName=IP:{self.address},DNS:{self.name}", "-keyout", self.dir / "mail.key",
            "-out", self.certificate], check=True, capture_output=True)
        return self

    def start(self):
        path = self.dir / "exim.conf"
        path.write_text(CONFIG.format(name=self.name, dir=self.dir, address=self.address,
            port=self.port, user=USER, options=self.options, acl=self.acl, routers=self.routers,
            transports=self.transports))
        user = pwd.getpwnam(USER)
        for own in (self.dir, *self.dir.iterdir()):
            if own.name != "exim.conf":  # root's: Exim drops its rights for another's
                os.chown(own, user.pw_uid, user.pw_gid)
        self.process = self.world.spawn(self.node, ["unshare", "--pid", "--kill-child", PROGRAM,
            "-bdf", "-q2s", "-C", path], log=f"mail-{self.dir.name}.log")
        wait_for(self.listens, 10, f"the mail server on {self.node} listens", 0.1)
        return self

    def listens(self):
        return self.world.tcp_probe(self.node, self.address, self.port, timeout=0.2) == "open"

    def stop(self):
        """Ends it and every delivery; what it has in its spool stays."""
        if self.process:
            self.process.stop(timeout=5)
            self.process = None

    def close(self):
        """Ends it and removes its files; an error when that cannot be done."""
        self.stop()
        shutil.rmtree(self.dir)

    # What came

    def box(self, person):
        """The mails of a person (the part before the @, or the whole address), oldest first."""
        path = self.dir / "mail" / "all"
        if not path.exists():
            return []
        found, lines = [], []
        for line in path.read_text(errors="replace").splitlines(keepends=True) + ["From end"]:
            if line.startswith("From ") and lines:
                found.append(email.message_from_string("".join(lines), policy=email.policy.default))
                lines = []
            elif not line.startswith("From "):
                lines.append(line)
        wanted = person if "@" in person else f"{person}@"
        return [mail for mail in found if str(mail["To"]).strip("<>").startswith(wanted)]

    def wait_mail(self, person, words, count=1, timeout=15):
        def there():
            return [mail for mail in self.box(person) if words in str(mail["Subject"])]
        wait_for(lambda: len(there()) >= count, timeout,
            f"{count} mails \"{words}\" for {person}; there are "
            f"{[str(mail['Subject']) for mail in self.box(person)]}", 0.2)
        return there()

    def log(self):
        """What Exim wrote of arrivals, deliveries and refusals."""
        return "".join(path.read_text(errors="replace")
            for path in sorted((self.dir / "log").iterdir()))


class NoticeServer(MailServer):
    """The center's: takes everybody's mail, refuses one domain, and hands notices to the center."""

    def __init__(self, stage):
        super().__init__(stage.world)
        self.stage = stage
        self.self_signed()

    acl = "  deny senders = <>\n       domains = refuses.example\n  accept"
    routers = ("notices:\n  driver = accept\n  domains = notice.example\n  transport = take")

    def start(self, token):
        """`token` is of the account that brings the notices."""
        shutil.copy(self.stage.pki.file("root.pem"), self.dir / "root.pem")
        (self.dir / "token").write_text(token + "\n")
        (self.dir / "token").chmod(0o600)
        self.transports = f"""take:
  driver = pipe
  command = {self.stage.program('sekisho')} notice take
  user = {USER}
  return_fail_output
  temp_errors = 3
  environment = SEKISHO_CENTER=127.0.0.1 : SEKISHO_ROOT={self.dir}/root.pem : \\
    SEKISHO_TOKEN_FILE={self.dir}/token"""
        return super().start()

    def send(self, sender, subject, text, headers=(), charset="utf-8"):
        """A mail from outside, as a device sends it."""
        message = email.message.EmailMessage()
        message["From"], message["To"] = sender, "inbox@notice.example"
        message["Subject"] = subject
        message["Message-ID"] = f"<{time.time_ns()}@device.example>"
        for name, value in headers:
            message[name] = value
        message.set_content(text, charset=charset, cte="base64")
        self.send_bytes(sender, message.as_bytes())
        return message["Message-ID"]

    def send_bytes(self, sender, data):
        mail_send(self.world, self.node, self.address, sender, ["inbox@notice.example"], data,
            port=self.port)


def mail_send(world, node, address, sender, recipients, data, port=25, tls=None, timeout=20):
    """Hands a mail (bytes) to a server from a node. `tls` is (CA file, certificate file, key file,
    server's name) for STARTTLS; the last three may be None. MailError when the server refuses, OSError
    when it is not reached."""
    world.call(node, _send, address, port, sender, recipients, data, tls, timeout,
        timeout=timeout + 10)


def _send(address, port, sender, recipients, data, tls, timeout):
    try:
        with smtplib.SMTP(address, port, "device.example", timeout=timeout) as link:
            if tls:
                authority, certificate, key, name = tls
                context = ssl.create_default_context(cafile=authority)
                if certificate:
                    context.load_cert_chain(certificate, key)
                link._host = name or address  # what the certificate has to say
                link.starttls(context=context)
            link.sendmail(sender, recipients, data)
    except smtplib.SMTPRecipientsRefused as refusal:
        code, text = next(iter(refusal.recipients.values()))
        raise MailError(code, text.decode(errors="replace")) from None
    except smtplib.SMTPResponseException as refusal:
        raise MailError(refusal.smtp_code, refusal.smtp_error.decode(errors="replace")) from None

"""A mail server for tests: aiosmtpd, with TLS and passwords as the arguments say. Mails go into a file, one after the
other, with the envelope before each.

mail.py PORT FILE [plain|starttls|tls] CHAIN KEY [USER PASSWORD]
"""
import ssl
import sys
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, SMTP

port, file, security, chain, key, *login = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        with open(file, "a") as mails:
            mails.write(f"=== {envelope.mail_from} -> {' '.join(envelope.rcpt_tos)}\n")
            mails.write(envelope.content.decode())
        return "250 taken as 4711"


def authenticate(server, session, envelope, mechanism, data):
    given = [data.login.decode(), data.password.decode()]
    return AuthResult(success=given == login, handled=False)


context = None
if security != "plain":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)


class Server(Controller):
    def factory(self):
        options = {"tls_context": context, "require_starttls": True} if security == "starttls" else {}
        if login:
            options |= {"authenticator": authenticate, "auth_required": True}
            options |= {"auth_require_tls": security == "starttls"}
        return SMTP(self.handler, **options)


server = Server(
    Handler(),
    hostname="127.0.0.1",
    port=int(port),
    ssl_context=context if security == "tls" else None,
)
server.start()
while True:
    time.sleep(60)

"""A real mail server (aiosmtpd) on a loopback port, for tests.

First line of standard input: {} for a server that takes mail from anybody, or {"username", "password"}.
First line of standard output: {"port"}. Then one line for each mail: {"from", "to": [...], "subject", "text", "html",
"raw"}: headers and bodies decoded. Ends when standard input does.
"""

import asyncio
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP, AuthResult


def answer(value):
    print(json.dumps(value), flush=True)


def body(message, kind):
    part = message.get_body((kind,))
    return part.get_content() if part else None


class Printer:
    """Prints each mail that comes in."""

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        answer(
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "subject": message["subject"],
                "text": body(message, "plain"),
                "html": body(message, "html"),
                "raw": envelope.content.decode("utf-8", "replace"),
            }
        )
        return "250 OK"


async def main():
    given = json.loads(sys.stdin.readline())
    username, password = given.get("username"), given.get("password")

    def authenticate(server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (username.encode(), password.encode())
        return AuthResult(success=good, handled=False)

    def session():
        if username is None:
            return SMTP(Printer(), hostname="mail.test")
        return SMTP(
            Printer(), hostname="mail.test", authenticator=authenticate, auth_required=True, auth_require_tls=False
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0)
    answer({"port": server.sockets[0].getsockname()[1]})
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())

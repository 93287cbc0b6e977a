"""Sends what waits, and marks what is sent: each at least once, whenever either side dies.

Between the server's yes and the mark another copy may be sent, which has the same Message-ID.
A mail server that is down holds up nobody but the mails.
"""

from __future__ import annotations

import smtplib
import ssl
from typing import Any, NoReturn

from psycopg2.extras import NamedTupleCursor

from invirt import config
from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.database import follow, roles
from invirt.database.connection import Connection
from invirt.database.mail import addresses, words

PROGRAM = "invirt-database-mail"
EVERY = 5.0  # seconds between two looks, where no word comes
ROUND = 50  # mails that one connection to the mail server takes
DEADLINE = 20.0  # seconds that one answer of the mail server's may take
RETRY, SELDOM = 30.0, 3600.0  # seconds until it is tried again, at first and at last
KEPT = "30 days"  # that a mail stays, sent or not

DUE = """
SELECT mail_id, at, kind, recipient, acting::text AS acting, owner, thing, amount, why::text AS why, tries
FROM mails WHERE due_at <= now() ORDER BY due_at LIMIT %s
"""
# What it says may have changed meanwhile: then it is sent again.
SENT = "UPDATE mails SET due_at = NULL, sent_at = now(), error = '' WHERE mail_id = %s AND at = %s"
NOWHERE = "UPDATE mails SET due_at = NULL, error = %s WHERE mail_id = %s"
LATER = """
UPDATE mails SET due_at = now() + %s * interval '1 s', tries = tries + 1, error = %s WHERE mail_id = %s
"""
ALL_LATER = "UPDATE mails SET due_at = now() + %s * interval '1 s', error = %s WHERE due_at <= now()"
OLD = f"DELETE FROM mails WHERE at < now() - interval '{KEPT}'"
UNWANTED = "DELETE FROM mails WHERE due_at IS NOT NULL"


class Sender:
    """The service.  It says once that the mail server is silent, and that it answers again."""

    def __init__(self) -> None:
        self.silence = log.Lasting(PROGRAM)

    def turn(self, cursor: Any) -> int:
        """Send what is due; returns how many were."""
        cursor.execute(OLD)
        if not config.mail.server:
            cursor.execute(UNWANTED)
            return 0
        cursor.execute(DUE, (ROUND,))
        due = cursor.fetchall()
        if due:
            try:
                self._send(cursor, due)
            except (OSError, smtplib.SMTPException, InvirtError) as error:
                told = _told(error)
                self.silence.write(f"mails wait: {config.mail.server} {told}")
                cursor.execute(ALL_LATER, (RETRY, told))
                return 0
            self.silence.over()
        return len(due)

    def _send(self, cursor: Any, due: list[Any]) -> None:
        """Each by itself; raises what concerns all of them."""
        with _connected() as server:
            for row in due:
                self._one(server, cursor, row)

    def _one(self, server: smtplib.SMTP, cursor: Any, row: Any) -> None:
        to = addresses.address(row.recipient)
        if to is None:
            cursor.execute(NOWHERE, (f"{row.recipient} has no address", row.mail_id))
            return
        try:
            server.send_message(words.letter(row, to), words.sender(), [to])
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError) as error:
            log.write(f"mail {row.mail_id} to {to} waits: {_told(error)}", log.WARNING, program=PROGRAM)
            cursor.execute(LATER, (min(RETRY * 2**row.tries, SELDOM), _told(error), row.mail_id))
            return
        cursor.execute(SENT, (row.mail_id, row.at))


def _connected() -> smtplib.SMTP:
    """A connection to the mail server; with mail.tls nothing is said before its certificate was checked."""
    server = smtplib.SMTP(config.mail.server, config.mail.port, timeout=DEADLINE)
    if config.mail.tls:
        server.starttls(context=ssl.create_default_context())
    return server


def _told(error: Exception) -> str:
    """Why it went wrong, in a line of letters that can be shown."""
    text = error.message if isinstance(error, InvirtError) else f"{type(error).__name__}: {error}"
    return log.one_line(" ".join(text.split()))[:200]


def run() -> NoReturn:
    """For ever.  A copy of the database sends nothing."""
    sender = Sender()

    def work(connected: Connection) -> None:
        with connected.cursor(cursor_factory=NamedTupleCursor) as named:
            cursor: Any = named
            cursor.execute("SELECT pg_is_in_recovery() AS copy")
            if not cursor.fetchone().copy:
                while sender.turn(cursor) == ROUND:
                    pass

    follow.follow("mails", EVERY, work, user=roles.MAIL)

"""What mails say: made of a row's values when they are sent, so that the database holds no letters."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from invirt import config

# By kind: the subject, and what is said; {why} is the next line, if there is one.
SAID = {
    "asked": (
        "{owner} would have a larger quota",
        "{acting} asks for {amount} for {owner}.",
        "See admin quota requests, or the page {page}/site/requests.",
    ),
    "granted": ("A larger quota of {owner} is granted", "{owner} may use {amount} from now on.", ""),
    "refused": (
        "A larger quota of {owner} is refused",
        "{acting} refuses {amount} for {owner}: the quota stays as it is.",
        "",
    ),
    "offered": (
        "The machine {thing} is offered to {owner}",
        "{acting} would hand the machine {thing} over to {owner}.",
        "invirt accept {thing} takes it over, invirt decline {thing} leaves it; so does the page {page}/.",
    ),
    "accepted": ("The machine {thing} is {owner}'s now", "{thing}, which you offered, was accepted.", ""),
    "declined": (
        "The machine {thing} stays where it is",
        "{acting} declines {thing}, which you offered to {owner}.",
        "",
    ),
}
UNITS = {
    "machines": "machines",
    "running": "running machines",
    "memory": "MiB of memory",
    "disk": "GiB of disk",
    "cpus": "CPUs",
    "addresses": "addresses",
}


def sender() -> str:
    """As whom mail is sent."""
    return config.mail.sender or f"invirt@{config.site.domain}"


def letter(row: Any, to: str) -> EmailMessage:
    """The mail of a row, for an address.  By its Message-ID a second copy is known."""
    page = f"https://{config.web.hostname}" if config.web.hostname else ""
    values = {
        "owner": row.owner,
        "thing": row.thing,
        "acting": row.acting,
        "amount": f"{row.amount} {UNITS.get(row.thing, '')}",
        "page": page,
    }
    subject, said, hint = (text.format(**values) for text in SAID[row.kind])
    if not page:
        hint = hint.partition(", or the page")[0].partition("; so does the page")[0].rstrip(".") + "." * bool(
            hint
        )
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender(), to, subject
    message["Date"] = format_datetime(row.at)
    message["Message-ID"] = f"<invirt-{row.mail_id}-{row.at.timestamp():.0f}@{config.site.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        "\n\n".join(filter(None, (said, row.why, hint, f"Questions: {config.site.contact}"))) + "\n"
    )
    return message

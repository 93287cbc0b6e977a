"""The site's first server: all that makes it, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from invirt.setup import answers as kept
from invirt.setup import certificates, here, keytabs, realm, rendered, roles, settings
from invirt.setup.answers import Answers
from invirt.setup.steps import Step


def steps(answers: Answers) -> Iterator[Step]:
    """What is so in the end.  The answers are complete (here.completed())."""
    ours = realm.Realm(answers.realm) if answers.kerberos.make else None
    yield Step(
        f"{kept.KEPT}",
        lambda: kept.KEPT.exists() and kept.read(kept.KEPT) == answers,
        lambda: kept.keep(answers),
    )
    yield here.names(answers.addresses_of_servers)
    yield realm.conf(rendered.krb5_conf(answers))
    yield from roles.before(answers.roles, answers.kerberos.make)
    if ours:
        yield from realm.steps(ours)
    yield from keytabs.steps(
        keytabs.wanted(answers.name, answers.roles),
        lambda principal: keytabs.made(ours, principal) if ours else None,
    )
    written, applied = settings.invirt_yaml(rendered.invirt_yaml(answers))
    yield written
    yield from certificates.steps(answers.name, answers.roles)
    yield roles.roles(answers.roles, answers.disks, answers.boot.kernel)
    yield applied
    yield from certificates.read(answers.roles)
    yield from settings.page(answers.name, answers.roles)
    yield from settings.database(answers)
    if ours and answers.user:
        yield settings.user(answers, ours)


def next_lines(answers: Answers) -> list[str]:
    """What the first user types."""
    lines = ["A user types, on a computer with invirt-client and a krb5.conf as this server's:"]
    user = answers.user or "NAME"
    lines += [f"    kinit {user}@{answers.realm}", "    invirt create remus --start --console"]
    if Path(settings.PASSWORD).exists():
        lines.append(f"The password of {user} is in {settings.PASSWORD}; kpasswd changes it.")
    if web := answers.named("web"):
        lines.append(
            f"Pages: https://{web[0]}/ (trust {certificates.PAGES_AUTHORITY.certificate} in the browser)"
        )
    return lines

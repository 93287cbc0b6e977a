"""Where somebody gets mail: by the rule of invirt.yaml, or as the directory (LDAP) has it."""

from __future__ import annotations

from invirt import config
from invirt.base import validate


def address(who: str) -> str | None:
    """That of a principal, or of somebody of the site's realm; None: there is none.

    Raises CommandFailed where the directory can't be asked.
    """
    name, _, realm = who.rpartition("@") if "@" in who else (who, "", config.site.realm)
    if not validate.passes(f"{name}@{realm}", validate.person) or "/" in name:
        return None
    if config.mail.people and realm == config.site.realm:
        from invirt.database.members import ldap  # python3-ldap, only where a site uses it

        found = ldap.mail(name)
        return found if found and validate.passes(found, validate.mail_address) else None
    domain = next((one.domain for one in config.web.realms if one.realm == realm), "")
    if domain:
        return f"{name}@{domain}"
    if realm != config.site.realm:
        return None
    return (
        config.mail.address.replace("{name}", name) if config.mail.address else f"{name}@{config.site.domain}"
    )

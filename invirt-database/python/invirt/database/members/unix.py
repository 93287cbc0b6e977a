"""Unix groups, as this server's NSS knows them: of files, or by sssd of LDAP or Active Directory.

Members are those whom the group lists and those whose primary group it is, as
far as NSS lists users.  Accounts of the system (below uid 1000) own nothing.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterable

from invirt import config
from invirt.base.errors import NotFound

LEAST_UID = 1000


def members(name: str) -> Iterable[str]:
    """Principals of the site's realm.  Raises NotFound for a group, or a member of it, that NSS doesn't know.

    NSS says the same of what is not there and of what it can't ask for: neither changes anything at once.
    """
    try:
        group = grp.getgrnam(name)
    except KeyError:
        raise NotFound(
            f"NSS knows no group {name}", hint=f"On the database server: getent group {name}"
        ) from None
    users = {one.pw_name: one for one in pwd.getpwall() if one.pw_gid == group.gr_gid}
    for login in group.gr_mem:
        try:
            users[login] = pwd.getpwnam(login)
        except KeyError:
            raise NotFound(
                f"NSS knows no user {login}, whom the group {name} lists",
                hint=f"On the database server: getent passwd {login}",
            ) from None
    return [f"{login}@{config.site.realm}" for login, one in users.items() if one.pw_uid >= LEAST_UID]

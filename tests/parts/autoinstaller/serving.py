"""Apache with the site of invirt-autoinstaller-server, in a network of its own."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from invirt.autoinstaller import bases, recipes
from tests.parts.waiting import until

Inside = Callable[..., Any]
SITE = "invirt-autoinstaller/files/etc/apache2/sites-available/invirt-autoinstaller.conf"
PUBLIC = "/var/lib/invirt-autoinstaller/public"
# As Debian has them, but for the folders.
CONFIGURATION = """\
ServerRoot {home}
ServerName localhost
PidFile {home}/apache.pid
Define APACHE_LOG_DIR {home}
ErrorLog {home}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule autoindex_module /usr/lib/apache2/modules/mod_autoindex.so
User www-data
Group www-data
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all denied
</Directory>
{site}
"""


def kept(checkout: Path, state: Path, name: str) -> None:
    """Make state, with a base of that name that is of these days; it is kept from run to run."""
    cache = checkout / ".cache/bases"
    if name not in bases.names(cache) or bases.known(cache, name).made < time.time() - 2 * 86400:
        cache.mkdir(parents=True, exist_ok=True)
        bases.build(cache, name, partial(recipes.make, recipes.RECIPES[name]))
    shutil.copytree(cache, state, dirs_exist_ok=True, ignore=shutil.ignore_patterns("S.*"))


def packed(state: Path, name: str) -> Path:
    """The base of that name, as it is served."""
    return state / bases.PUBLIC / name / bases.known(state, name).file


@contextmanager
def served(checkout: Path, state: Path, inside: Inside) -> Iterator[None]:
    """Serve state/public at port 8180 of the network that inside is in."""
    home = state / "apache"
    home.mkdir()
    site = (checkout / SITE).read_text().replace(PUBLIC, str(state / "public"))
    (home / "apache.conf").write_text(CONFIGURATION.format(home=home, site=site))
    up = ["ip", "link", "set", "lo", "up"]
    inside(lambda: subprocess.run(up, check=True, timeout=10))
    words = ["apache2", "-f", str(home / "apache.conf"), "-D", "FOREGROUND"]
    daemon = inside(lambda: subprocess.Popen(words))
    try:
        ask = ["curl", "-s", "http://127.0.0.1:8180/"]
        until(
            lambda: (
                inside(lambda: subprocess.run(ask, check=False, capture_output=True, timeout=10).returncode)
                == 0
            ),
            why=(home / "error.log").read_text,
        )
        yield
    finally:
        daemon.terminate()
        daemon.wait(30)

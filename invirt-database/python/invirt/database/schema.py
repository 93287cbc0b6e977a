"""The schema's version: Alembic, called from our own code instead of its command line."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


def _settings(connection: Connection) -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["connection"] = connection
    return settings


def newest() -> str | None:
    """The version that this release's programs expect."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def version(connection: Connection) -> str | None:
    """The version that the database has; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the schema to a version; the caller's transaction commits it, whole or not at all."""
    command.upgrade(_settings(connection), to)


def downgrade(connection: Connection, to: str = "base") -> None:
    """Bring the schema back to a version; what its tables held is lost."""
    command.downgrade(_settings(connection), to)

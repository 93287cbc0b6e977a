"""The models say of the schema what the migrations made."""

from __future__ import annotations

import re

import pytest
import sqlalchemy
from sqlalchemy.types import TypeEngine

from invirt.base.errors import NotFound
from invirt.database import models, schema
from invirt.database.session import transaction
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Cluster, Database

# What is read by SQL alone.
SQL_ALONE = (
    "^(usage|host_signs|guest_states|api_token|console_looks|apart|sources|machine_offers|upkeep|quotas"
    "|audit_|quota_requests|mails|machine_limits|owner_limits)"
)
COLUMNS = f"""
    SELECT table_name, column_name, CASE data_type WHEN 'ARRAY' THEN ltrim(udt_name, '_') || '[]'
        ELSE data_type END, is_nullable = 'YES'
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version'
        AND table_name !~ '{SQL_ALONE}'
"""
KEYS = f"""
    SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype IN ('p', 'f') AND connamespace = 'public'::regnamespace
    AND conrelid::regclass::text <> 'alembic_version'
    AND conrelid::regclass::text !~ '{SQL_ALONE}'
"""


def _word(kind: TypeEngine[object]) -> str:
    """The type's name as PostgreSQL writes it."""
    return kind.compile(sqlalchemy.create_engine("postgresql://").dialect).lower()


def test_columns_agree(database: Database) -> None:
    """Each column of one is in the other, with the same type, null or not."""
    modelled = {
        (table.name, column.name, _word(column.type), bool(column.nullable))
        for table in models.Base.metadata.tables.values()
        for column in table.columns
    }
    assert modelled == set(database.execute(COLUMNS))


def test_keys_agree(database: Database) -> None:
    """Primary and foreign keys too."""
    modelled = set()
    for table in models.Base.metadata.tables.values():
        keys = ", ".join(column.name for column in table.primary_key)
        modelled.add((table.name, f"PRIMARY KEY ({keys})"))
        for key in table.foreign_keys:
            modelled.add((table.name, f"FOREIGN KEY ({key.parent.name}) REFERENCES {key.target_fullname}"))
    made = set()
    for table_name, definition in database.execute(KEYS):
        words = str(definition).split(" ON DELETE")[0].replace('"', "")
        made.add((str(table_name), re.sub(r"(REFERENCES \w+)\((\w+)\)", r"\1.\2", words)))
    assert modelled == made


def test_a_machine_is_found_by_name(database: Database) -> None:
    """As every template and program asks for it."""
    site(database)
    machine(database, "inode", memory=192, ip="10.5.0.10", mac="00:16:3e:00:00:01", disk=3)
    inode = models.Machine.get(name="inode")
    assert (inode.memory, inode.cpus, inode.type.name, inode.owner.name, inode.host) == (
        192,
        1,
        "linux",
        "alice",
        None,
    )
    assert [(nic.mac_addr, nic.ip) for nic in inode.nics] == [("00:16:3e:00:00:01", "10.5.0.10")]
    assert [(disk.name, disk.size) for disk in inode.disks] == [("hda", 3)]
    database.execute("UPDATE machines SET memory = 256")
    assert models.Machine.get(name="inode").memory == 256


def test_what_is_not_there(database: Database) -> None:
    """The error names what was asked for."""
    with pytest.raises(NotFound, match="there is no machine inode"):
        models.Machine.get(name="inode")


def test_objects_can_be_written_and_deleted(database: Database) -> None:
    """With the database's defaults, and its cascades."""
    site(database)
    with transaction() as writing:
        made = models.Machine(name="ibex", memory=64)
        made.owner, made.type = models.Owner.get(name="alice"), models.Type.get(name="linux")
        made.disks = [models.Disk(name="hda", size=1)]
        writing.add(made)
    with transaction() as writing:
        found = models.Machine.get(name="ibex")
        assert (found.cpus, found.description, len(found.disks)) == (1, "", 1)
        writing.delete(found)
    assert database.execute("SELECT count(*) FROM disks") == [(0,)]


def test_migrations_go_back_and_forth(cluster: Cluster, database: Database) -> None:
    """Down to nothing and up again gives the same schema, right by right."""
    described = """
        SELECT relname, relkind::text, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND relname NOT LIKE 'alembic%'
        UNION ALL SELECT tgname, tgrelid::regclass::text, '' FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname, proacl::text, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT typname, '', '' FROM pg_type WHERE typnamespace = 'public'::regnamespace
        UNION ALL SELECT 'public', nspacl::text, '' FROM pg_namespace WHERE nspname = 'public'
    """
    before = sorted(database.execute(described), key=str)
    engine = sqlalchemy.create_engine(f"postgresql://invirt@/{database.name}?host={database.socket}")
    with engine.begin() as connection:
        schema.downgrade(connection)
        assert schema.version(connection) is None
    left = database.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert sorted(left) == [("alembic_version",), ("alembic_version_pkc",)]
    with engine.begin() as connection:
        schema.upgrade(connection)
        assert schema.version(connection) == schema.newest()
    engine.dispose()
    assert sorted(database.execute(described), key=str) == before

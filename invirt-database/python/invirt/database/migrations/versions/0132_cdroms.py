"""A machine may have a CD in its drive; a type may have one for all of its machines, and a clock in local time."""

from __future__ import annotations

from alembic import op

revision = "0132"
down_revision = "0135"

COLUMNS = """
ALTER TABLE machines ADD COLUMN cdrom_id integer REFERENCES cdroms,
    ADD COLUMN boots_cdrom boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN machines.cdrom_id IS 'the CD in its drive, from its next boot on';
COMMENT ON COLUMN machines.boots_cdrom IS 'whether it boots from a CD in its drive, and only then from its disk';
CREATE INDEX machines_cdrom_id ON machines (cdrom_id);
ALTER TABLE types ADD COLUMN cdrom_id integer REFERENCES cdroms,
    ADD COLUMN local_clock boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN types.cdrom_id IS 'what is in a second drive of all its machines: drivers, say';
COMMENT ON COLUMN types.local_clock IS 'whether its machines are told the time of their host''s zone, not UTC';
CREATE INDEX types_cdrom_id ON types (cdrom_id);
COMMENT ON TABLE cdroms IS 'images of CDs, files on the hosts, that machines can have in their drives';
"""
# What remote may do with types was granted by column: these are not among them, nor are rows of cdroms.
VIEWS = """
CREATE VIEW web.cdroms AS SELECT name::text AS name, description::text AS description FROM cdroms;
CREATE VIEW web.inserted AS SELECT machine_id, c.name::text AS name, boots_cdrom
    FROM machines JOIN cdroms c USING (cdrom_id);
GRANT SELECT ON web.cdroms, web.inserted TO invirt_web;
"""


def upgrade() -> None:
    """No drive has one yet."""
    for part in (COLUMNS, VIEWS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Drives are empty again."""
    op.execute("DROP VIEW web.inserted, web.cdroms")
    op.execute("ALTER TABLE types DROP COLUMN cdrom_id, DROP COLUMN local_clock")
    op.execute("ALTER TABLE machines DROP COLUMN cdrom_id, DROP COLUMN boots_cdrom")

"""What administrators do by the remote server with types; what the pages show of types and pools."""

from __future__ import annotations

from alembic import op

revision = "0072"
down_revision = "0071"

# Hosts open kernels and initial ramdisks, on Xen as root: which files these are is said here alone.
MAY = {"INSERT": "name, description, virt, append, needs", "UPDATE": "description, virt, append, needs"}
VIEWS = """
CREATE OR REPLACE VIEW web.types AS SELECT type_id, name::text AS name, description::text AS description,
    virt::text AS virt, needs, kernel::text AS kernel, append::text AS append FROM types;
CREATE VIEW web.pools AS SELECT p.pool_id, p.name::text AS name, p.driver, p.place, p.everywhere,
    ARRAY(SELECT h.name::text FROM pool_hosts JOIN hosts h USING (host_id)
        WHERE pool_id = p.pool_id AND NOT p.everywhere ORDER BY h.name) AS hosts,
    d.disks, d.size, t.size AS trash
    FROM pools p CROSS JOIN LATERAL (SELECT count(*) AS disks, coalesce(sum(size), 0)::bigint AS size
        FROM disks WHERE pool_id = p.pool_id) d
    CROSS JOIN LATERAL (SELECT coalesce(sum(size), 0)::bigint AS size
        FROM trash_disks WHERE pool_id = p.pool_id) t;
COMMENT ON VIEW web.pools IS 'hosts: those that see it, none where all do; sizes in GiB';
GRANT SELECT ON web.pools TO invirt_web;
"""


def upgrade() -> None:
    """A type that boots from its disk can be added, any be described and taken away."""
    op.execute(VIEWS.replace(":", r"\:"))
    for right, columns in MAY.items():
        op.execute(f"GRANT {right} ({columns}) ON types TO invirt_remote")
    op.execute("GRANT DELETE ON types TO invirt_remote")


def downgrade() -> None:
    """Types are told of on the database server alone again."""
    op.execute("REVOKE DELETE ON types FROM invirt_remote")
    for right, columns in MAY.items():
        op.execute(f"REVOKE {right} ({columns}) ON types FROM invirt_remote")
    op.execute("DROP VIEW web.pools")
    op.execute("DROP VIEW web.types")
    op.execute(
        r"CREATE VIEW web.types AS SELECT type_id, name\:\:text AS name, description\:\:text AS description,"
        r" virt\:\:text AS virt, needs FROM types"
    )
    op.execute("GRANT SELECT ON web.types TO invirt_web")

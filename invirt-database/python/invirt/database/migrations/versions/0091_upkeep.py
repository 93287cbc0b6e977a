"""Upkeep: hosts that are emptied or upgraded, one after the other, each step a row's."""

from __future__ import annotations

from alembic import op

revision = "0091"
down_revision = "0087"

TABLE = """
CREATE TABLE upkeep (
    host_id integer PRIMARY KEY REFERENCES hosts ON DELETE CASCADE,
    kind text NOT NULL CONSTRAINT upkeep_kind CHECK (kind IN ('drain', 'update')),
    reboot text NOT NULL DEFAULT 'needed'
        CONSTRAINT upkeep_reboot CHECK (reboot IN ('always', 'needed', 'never')),
    step text NOT NULL DEFAULT 'wait' CONSTRAINT upkeep_step
        CHECK (step IN ('wait', 'fetch', 'drain', 'install', 'reboot', 'check', 'rejoin', 'done')),
    boot text CONSTRAINT upkeep_boot CHECK (boot ~ '^[0-9a-f-]{36}$'),
    told one_line NOT NULL DEFAULT '',
    failed one_line,
    todo one_line NOT NULL DEFAULT '',
    principal principal NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    step_at timestamptz NOT NULL DEFAULT now(),
    holder one_line,
    held_until timestamptz
);
COMMENT ON TABLE upkeep IS 'what is done to hosts, one after the other of those that were begun at once';
COMMENT ON COLUMN upkeep.boot IS 'of the host when that began: another one says that it has rebooted';
COMMENT ON COLUMN upkeep.told IS 'how it goes';
COMMENT ON COLUMN upkeep.failed IS 'why the step failed: nothing goes on until it is begun again';
COMMENT ON COLUMN upkeep.todo IS 'what to do about that';
COMMENT ON COLUMN upkeep.holder IS 'the remote server that is at it, until then if it says nothing more';
GRANT SELECT, INSERT, UPDATE, DELETE ON upkeep TO invirt_remote;
CREATE VIEW web.upkeep AS SELECT h.name::text AS host, u.kind, u.step, u.told::text AS told,
    u.failed::text AS failed, u.todo::text AS todo, u.principal::text AS principal, u.begun_at, u.step_at,
    count(*) OVER run AS hosts, count(*) FILTER (WHERE u.step = 'done') OVER run AS done
    FROM upkeep u JOIN hosts h USING (host_id) WINDOW run AS (PARTITION BY u.begun_at);
GRANT SELECT ON web.upkeep TO invirt_web;
"""


def upgrade() -> None:
    """Nothing is done to any."""
    op.execute(TABLE.replace(":", r"\:"))


def downgrade() -> None:
    """What was begun stays as it is: a drained host is disabled."""
    op.execute("DROP VIEW web.upkeep")
    op.execute("DROP TABLE upkeep")

"""Who needs more asks for it; an administrator of the site grants or refuses."""

from __future__ import annotations

from alembic import op

revision = "0103"
down_revision = "0119"

TABLE = """
CREATE TABLE quota_requests (
    request_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id integer NOT NULL REFERENCES owners ON DELETE CASCADE,
    principal principal NOT NULL,
    resource text NOT NULL CONSTRAINT request_resource
        CHECK (resource IN ('machines', 'running', 'memory', 'disk', 'cpus', 'addresses')),
    amount integer NOT NULL CONSTRAINT request_amount CHECK (amount >= 0),
    why one_line NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'open' CONSTRAINT request_state CHECK (state IN ('open', 'granted', 'refused')),
    decided_by principal,
    decided_at timestamptz,
    answer one_line NOT NULL DEFAULT '',
    CONSTRAINT request_decided CHECK ((state = 'open') = (decided_by IS NULL) AND (state = 'open') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX quota_requests_open ON quota_requests (owner_id, resource) WHERE state = 'open';
COMMENT ON TABLE quota_requests IS 'what owners would have as quotas; of each resource one request is open';
COMMENT ON COLUMN quota_requests.amount IS 'as in quotas';
GRANT SELECT, INSERT, UPDATE (amount, why, principal, at, state, decided_by, decided_at, answer)
    ON quota_requests TO invirt_remote;
"""


def upgrade() -> None:
    """Nobody has asked yet."""
    op.execute(TABLE.replace(":", r"\:"))


def downgrade() -> None:
    """What was granted stays."""
    op.execute("DROP TABLE quota_requests")

"""Whose members are found elsewhere: owners' sources; groups that users make and keep."""

from __future__ import annotations

from alembic import op

revision = "0099"
down_revision = "0088"

BEFORE = r"name ~ '^[A-Za-z0-9][A-Za-z0-9._/@+-]{0,254}$'"
NAMES = r"""
ALTER TABLE owners DROP CONSTRAINT owner_name, ADD CONSTRAINT owner_name CHECK (
    name ~ '^[A-Za-z0-9][A-Za-z0-9._/@+-]{0,254}$'
    OR name ~ '^group:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'
    OR name ~ '^[a-z][a-z0-9-]{0,30}:[A-Za-z0-9][A-Za-z0-9._/@+=,-]{0,199}$' AND name !~ '^group:');
"""
SOURCES = r"""
CREATE TABLE sources (
    owner_id integer PRIMARY KEY REFERENCES owners ON DELETE CASCADE,
    kind text COLLATE "C" NOT NULL
        CONSTRAINT source_kind CHECK (kind ~ '^[a-z][a-z0-9-]{0,30}$' AND kind <> 'group'),
    name text COLLATE "C" NOT NULL
        CONSTRAINT source_name CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._/@+=,-]{0,199}$'),
    due_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz,
    answered_at timestamptz,
    error one_line NOT NULL DEFAULT ''
);
COMMENT ON TABLE sources IS 'where the members of an owner are found, by a plug-in of that kind';
COMMENT ON COLUMN sources.answered_at IS 'how old its members are; null: it never told any';
COMMENT ON COLUMN sources.error IS 'why it told none when it was asked last';
CREATE INDEX sources_due_at ON sources (due_at);
ALTER TABLE members ADD COLUMN source text;
COMMENT ON COLUMN members.source IS 'which told of them, KIND:NAME; null: somebody named them';

CREATE FUNCTION source_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM members WHERE owner_id = OLD.owner_id AND source IS NOT NULL;
    ELSIF TG_OP = 'UPDATE' AND (NEW.kind, NEW.name) IS DISTINCT FROM (OLD.kind, OLD.name) THEN
        DELETE FROM members WHERE owner_id = NEW.owner_id AND source IS NOT NULL;
        UPDATE sources SET due_at = now(), asked_at = NULL, answered_at = NULL, error = ''
            WHERE owner_id = NEW.owner_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('sources', '');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION source_changed IS 'what another source told is nothing any more; the new one is asked at once';
CREATE TRIGGER changed AFTER INSERT OR DELETE OR UPDATE OF kind, name ON sources
    FOR EACH ROW EXECUTE FUNCTION source_changed();
"""

# What was asked counts only while it is still the owner's source: it may have another by now.
ANSWERS = r"""
CREATE FUNCTION source_answered(of_owner integer, asked text, told text[], again double precision)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sources SET answered_at = now(), asked_at = now(), error = '', due_at = now() + again * interval '1 s'
        WHERE owner_id = of_owner AND kind || ':' || name = asked;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM members WHERE owner_id = of_owner AND source IS NOT NULL AND principal <> ALL (told);
    INSERT INTO members (owner_id, principal, source)
        SELECT of_owner, one, asked FROM unnest(told) AS one ON CONFLICT DO NOTHING;
    RETURN true;
END $$;
CREATE FUNCTION source_failed(of_owner integer, asked text, why text, again double precision)
RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE sources SET error = why, asked_at = now(), due_at = now() + again * interval '1 s'
        WHERE owner_id = of_owner AND kind || ':' || name = asked
$$;
CREATE FUNCTION ask_source(of_owner text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE sources s SET due_at = now() FROM owners o WHERE o.owner_id = s.owner_id AND o.name = of_owner
        AND (asked_at IS NULL OR asked_at < now() - interval '5 s') AND due_at > now();
    IF FOUND THEN
        PERFORM pg_notify('sources', '');
    END IF;
END $$;
COMMENT ON FUNCTION ask_source IS 'now, however soon it would be; not more often than every five seconds';
CREATE FUNCTION close_sources(patience double precision, kinds text[]) RETURNS SETOF text
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH silent AS (
        SELECT owner_id FROM sources WHERE kind <> ALL (kinds) OR answered_at IS NULL
            OR answered_at < now() - patience * interval '1 s' FOR UPDATE)
    DELETE FROM members WHERE source IS NOT NULL AND owner_id IN (SELECT owner_id FROM silent) RETURNING source
$$;
COMMENT ON FUNCTION close_sources IS
    'takes from members whose source has told nothing for so many seconds, or is of no kind that is asked';
REVOKE EXECUTE ON FUNCTION source_changed(), source_answered(integer, text, text[], double precision),
    source_failed(integer, text, text, double precision), ask_source(text),
    close_sources(double precision, text[]) FROM PUBLIC;

GRANT USAGE ON SCHEMA public TO invirt_members;
GRANT SELECT ON sources TO invirt_members, invirt_remote;
GRANT EXECUTE ON FUNCTION source_answered(integer, text, text[], double precision),
    source_failed(integer, text, text, double precision) TO invirt_members;
GRANT INSERT (owner_id, kind, name) ON sources TO invirt_remote;
GRANT EXECUTE ON FUNCTION ask_source(text) TO invirt_remote;
"""

# The maker is counted against, whoever keeps it now: else a person's groups, and their quotas, had no end.
GROUPS = r"""
ALTER TABLE owners ADD COLUMN made_by principal;
COMMENT ON COLUMN owners.made_by IS 'of a group of users'' own: who made it, against whose number it counts';
CREATE INDEX owners_made_by ON owners (made_by) WHERE made_by IS NOT NULL;
ALTER TABLE members ADD COLUMN keeper boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN members.keeper IS 'of a group of users'' own: says who is in it';
GRANT UPDATE (keeper) ON members TO invirt_remote;
CREATE FUNCTION remove_group(of_owner integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    found text;
BEGIN
    SELECT name INTO found FROM owners WHERE owner_id = of_owner AND name LIKE 'group:%' FOR UPDATE;
    IF found IS NULL THEN
        RAISE EXCEPTION 'this is no group of users'' own';
    ELSIF EXISTS (SELECT FROM machines WHERE owner_id = of_owner) THEN
        RAISE EXCEPTION '% has machines', found USING HINT = 'Delete them first, or hand them over.';
    ELSIF EXISTS (SELECT FROM trash WHERE owner_id = of_owner) THEN
        RAISE EXCEPTION '% has something in the trash', found USING HINT = 'machine trash shows it; machine purge ends it.';
    END IF;
    DELETE FROM owners WHERE owner_id = of_owner;
END $$;
REVOKE EXECUTE ON FUNCTION remove_group(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION remove_group(integer) TO invirt_remote;
"""


def upgrade() -> None:
    """Members that are there have been named by somebody."""
    for part in (NAMES, SOURCES, ANSWERS, GROUPS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Owners keep the members that were found last; names of the new form stay, unchecked."""
    op.execute("DROP FUNCTION remove_group(integer)")
    op.execute("ALTER TABLE owners DROP COLUMN made_by")
    op.execute("ALTER TABLE members DROP COLUMN keeper, DROP COLUMN source")
    op.execute("DROP TABLE sources")
    for function in (
        "source_changed()",
        "source_answered(integer, text, text[], double precision)",
        "source_failed(integer, text, text, double precision)",
        "ask_source(text)",
        "close_sources(double precision, text[])",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("REVOKE USAGE ON SCHEMA public FROM invirt_members")
    op.execute("ALTER TABLE owners DROP CONSTRAINT owner_name")
    op.execute(f"ALTER TABLE owners ADD CONSTRAINT owner_name CHECK ({BEFORE}) NOT VALID")

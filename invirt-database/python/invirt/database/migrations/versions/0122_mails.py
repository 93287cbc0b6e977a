"""People are told by mail: what is to be said is written with what it is about, and sent after it."""

from __future__ import annotations

from alembic import op

revision = "0122"
down_revision = "0121"

TABLE = """
CREATE TABLE mails (
    mail_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL CONSTRAINT mail_kind CHECK (kind IN ('asked', 'granted', 'refused', 'offered', 'accepted')),
    recipient text COLLATE "C" NOT NULL CONSTRAINT mail_recipient CHECK (length(recipient) BETWEEN 1 AND 400),
    acting principal NOT NULL,
    owner text NOT NULL,
    thing text NOT NULL,
    amount integer,
    why one_line NOT NULL DEFAULT '',
    due_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    error one_line NOT NULL DEFAULT ''
);
CREATE INDEX mails_due_at ON mails (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX mails_acting ON mails (acting, at);
COMMENT ON TABLE mails IS 'what people are told by mail, written in the transaction that it is about';
COMMENT ON COLUMN mails.recipient IS 'a principal, or the name of one of the site''s realm who owns nothing yet';
COMMENT ON COLUMN mails.thing IS 'the machine, or which quota';
COMMENT ON COLUMN mails.due_at IS 'when it is tried; null: it is sent, or goes nowhere';
GRANT USAGE ON SCHEMA public TO invirt_mail;
GRANT SELECT, DELETE, UPDATE (due_at, tries, sent_at, error) ON mails TO invirt_mail;
"""

# Nobody has another mailed without end. What waits yet is said as it is by now.
WRITE = """
CREATE FUNCTION write_mail(kind text, recipient text, acting text, owner text, thing text, amount integer, why text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE mails m SET at = clock_timestamp(), acting = $3, amount = $6, why = $7
        WHERE m.due_at IS NOT NULL AND (m.kind, m.recipient, m.owner, m.thing) = ($1, $2, $4, $5);
    IF FOUND OR $1 IN ('asked', 'offered')
            AND (SELECT count(*) FROM mails m WHERE m.acting = $3 AND m.at > now() - interval '1 day') >= 100 THEN
        RETURN;
    END IF;
    INSERT INTO mails (at, kind, recipient, acting, owner, thing, amount, why)
        VALUES (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7);
    PERFORM pg_notify('mails', '');
END $$;
COMMENT ON FUNCTION write_mail IS 'at most a hundred a day that one user causes by asking and offering';
"""

RULES = """
CREATE FUNCTION mail_request() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    of_owner text := (SELECT name FROM owners WHERE owner_id = NEW.owner_id);
BEGIN
    IF NEW.state = 'open' THEN
        PERFORM write_mail('asked', a.principal, NEW.principal, of_owner, NEW.resource, NEW.amount, NEW.why)
            FROM (SELECT DISTINCT principal FROM administrators LIMIT 50) a;
    ELSE
        DELETE FROM mails WHERE kind = 'asked' AND due_at IS NOT NULL AND owner = of_owner AND thing = NEW.resource;
        PERFORM write_mail(NEW.state, NEW.principal, NEW.decided_by, of_owner, NEW.resource, NEW.amount, NEW.answer);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER mail AFTER INSERT OR UPDATE ON quota_requests FOR EACH ROW EXECUTE FUNCTION mail_request();
CREATE FUNCTION mail_offer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    machine record;
BEGIN
    IF TG_OP <> 'DELETE' THEN
        PERFORM write_mail('offered', x.principal, NEW.principal, NEW.name, m.name, NULL, '')
            FROM machines m, (SELECT principal FROM members WHERE owner_id = NEW.to_owner
                UNION SELECT NEW.name WHERE NEW.to_owner IS NULL LIMIT 50) x
            WHERE m.machine_id = NEW.machine_id AND x.principal <> NEW.principal;
        RETURN NULL;
    END IF;
    SELECT m.name, o.name AS owner, m.owner_id INTO machine
        FROM machines m JOIN owners o USING (owner_id) WHERE m.machine_id = OLD.machine_id;
    DELETE FROM mails WHERE kind = 'offered' AND due_at IS NOT NULL AND owner = OLD.name AND thing = machine.name;
    IF machine.owner_id = OLD.to_owner AND OLD.at <> now() OR OLD.to_owner IS NULL AND machine.owner = OLD.name THEN
        PERFORM write_mail('accepted', OLD.principal, OLD.principal, machine.owner, machine.name, NULL, '');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION mail_offer IS 'what is given at once, by who is a member of both, nobody is told';
CREATE TRIGGER mail AFTER INSERT OR UPDATE OR DELETE ON machine_offers FOR EACH ROW EXECUTE FUNCTION mail_offer();
REVOKE EXECUTE ON FUNCTION write_mail, mail_request, mail_offer FROM PUBLIC;
"""


def upgrade() -> None:
    """Nobody is told of what was before."""
    for part in (TABLE, WRITE, RULES):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """What was not sent yet is not sent."""
    op.execute("DROP TRIGGER mail ON quota_requests")
    op.execute("DROP TRIGGER mail ON machine_offers")
    op.execute("DROP FUNCTION mail_request(), mail_offer()")
    op.execute("DROP FUNCTION write_mail(text, text, text, text, text, integer, text)")
    op.execute("DROP TABLE mails")
    op.execute("REVOKE USAGE ON SCHEMA public FROM invirt_mail")

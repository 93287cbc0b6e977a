"""What can be put on a machine, what is being put on one, and what one has."""

from __future__ import annotations

from alembic import op

revision = "0111"
down_revision = "0092"

# Nothing could add a row yet, nor use one.
SYSTEMS = """
DELETE FROM autoinstalls;
ALTER TABLE autoinstalls DROP COLUMN kernel, DROP COLUMN initrd, DROP COLUMN append,
    ADD COLUMN url text NOT NULL CONSTRAINT autoinstall_url
        CHECK (url ~ '^http://[a-z0-9][a-z0-9.-]{0,252}(:[0-9]{1,5})?(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$'),
    ADD COLUMN keyring bytea NOT NULL CONSTRAINT autoinstall_keyring CHECK (length(keyring) BETWEEN 1 AND 65536),
    ADD COLUMN memory integer NOT NULL DEFAULT 512 CONSTRAINT autoinstall_memory CHECK (memory > 0),
    ADD COLUMN disk integer NOT NULL DEFAULT 2 CONSTRAINT autoinstall_disk CHECK (disk > 0);
COMMENT ON TABLE autoinstalls IS 'systems that an installer can put on a machine, each by a base of its name';
COMMENT ON COLUMN autoinstalls.url IS 'where its base is: manifest.asc, and what that names';
COMMENT ON COLUMN autoinstalls.keyring IS 'whose signature on that list counts';
COMMENT ON COLUMN autoinstalls.memory IS 'MiB that a machine must have';
COMMENT ON COLUMN autoinstalls.disk IS 'GiB that its first disk must have';
ALTER TABLE machines ADD COLUMN system short_name, ADD COLUMN installed_at timestamptz,
    ADD CONSTRAINT machine_system CHECK (installed_at IS NULL OR system IS NOT NULL);
COMMENT ON COLUMN machines.system IS 'what an installer has put on its disk, or has begun to';
COMMENT ON COLUMN machines.installed_at IS 'since when that is whole: it boots from its disk';
"""
# A password is kept as /etc/shadow has it, and no longer than its installer may ask; remote writes it, and can't
# read it again.  A host sees what is installed where it has promised memory, and nothing else.
INSTALLS = """
CREATE TABLE installs (
    machine_id integer PRIMARY KEY REFERENCES machines ON DELETE CASCADE,
    autoinstall_id integer NOT NULL REFERENCES autoinstalls,
    password text NOT NULL CONSTRAINT install_password
        CHECK (password = '' OR password ~ '^[$]6[$][A-Za-z0-9./]{1,16}[$][A-Za-z0-9./]{86}$'),
    keys text[] NOT NULL CONSTRAINT install_keys CHECK (array_position(keys, NULL) IS NULL
        AND array_to_string(keys, '') ~ '^[A-Za-z0-9+/=@._ -]*$')
);
COMMENT ON TABLE installs IS 'what is being put on machines, for their installers';
CREATE INDEX installs_autoinstall_id ON installs (autoinstall_id);
ALTER TABLE installs ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON installs TO invirt_remote USING (true);
CREATE POLICY host ON installs FOR SELECT TO invirt_host
    USING (machine_id IN (SELECT machine_id FROM reservations));
GRANT SELECT (machine_id, autoinstall_id), INSERT, DELETE ON installs TO invirt_remote;
GRANT SELECT ON installs TO invirt_host;
CREATE TABLE host_keys (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    kind text NOT NULL CONSTRAINT host_key_kind CHECK (kind ~ '^[A-Z0-9]{2,10}$'),
    fingerprint text NOT NULL CONSTRAINT host_key_fingerprint CHECK (fingerprint ~ '^SHA256:[A-Za-z0-9+/]{43}$'),
    PRIMARY KEY (machine_id, kind)
);
COMMENT ON TABLE host_keys IS 'by what ssh knows a machine, as its installer has told';
GRANT SELECT, INSERT, DELETE ON host_keys TO invirt_remote;
"""
WORD = """
DROP TRIGGER wanted_on ON operations;
CREATE OR REPLACE FUNCTION owners_word() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE machines SET wanted_on = NEW.kind IN ({on}), why_off = '' WHERE machine_id = NEW.machine_id;
    RETURN NULL;
END $$;
CREATE TRIGGER wanted_on AFTER UPDATE OF state ON operations FOR EACH ROW
    WHEN (NEW.kind IN ({on}) AND NEW.state = 'done') EXECUTE FUNCTION owners_word();
"""


def upgrade() -> None:
    """No machine has one yet.  Who has one installed wants it on."""
    for part in (SYSTEMS, INSTALLS, WORD.format(on="'boot', 'install'")):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """As before: machines boot as their type says."""
    op.execute(WORD.format(on="'boot'"))
    op.execute("DROP TABLE installs, host_keys")
    op.execute("ALTER TABLE machines DROP COLUMN system, DROP COLUMN installed_at")
    op.execute("DELETE FROM autoinstalls")
    op.execute(
        "ALTER TABLE autoinstalls DROP COLUMN url, DROP COLUMN keyring, DROP COLUMN memory, DROP COLUMN disk,"
        " ADD COLUMN kernel file_path NOT NULL, ADD COLUMN initrd file_path, ADD COLUMN append one_line"
    )

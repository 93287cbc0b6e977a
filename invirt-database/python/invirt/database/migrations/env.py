"""What Alembic runs for each command: our connection, everything in one transaction.

The connection comes from invirt.database.schema, so a migration that fails
leaves the schema as it was.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()

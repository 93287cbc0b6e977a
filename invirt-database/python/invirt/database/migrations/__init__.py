"""The schema's history, run by Alembic: one file a change, never edited once released."""

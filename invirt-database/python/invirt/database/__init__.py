"""The database: models, migrations, connections."""

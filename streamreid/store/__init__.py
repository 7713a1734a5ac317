"""SQLite: schema, migrations, the one writer, readers and exports."""

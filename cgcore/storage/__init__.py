"""The database: tables, engine, migrations, repositories. The only place that opens a session."""

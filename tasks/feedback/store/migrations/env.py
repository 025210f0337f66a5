"""Where Alembic finds the connection: `upgrade.upgrade` puts it into the settings."""

from alembic import context

from tasks.feedback.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=context.config.attributes["version_table"],
    render_as_batch=True,
)
context.run_migrations()

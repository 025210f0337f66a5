"""Events, withdrawals, annotators and comparisons."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NEVER_CHANGED = "feedback events are appended, never changed"
ONLY_WITHDRAWN = "feedback events are removed only when their annotator withdraws them"
SQLITE_GUARDS = (
    f"""CREATE TRIGGER events_never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, '{NEVER_CHANGED}'); END""",
    f"""CREATE TRIGGER events_only_withdrawn BEFORE DELETE ON events
    WHEN NOT EXISTS (SELECT 1 FROM withdrawals WHERE event = OLD.id)
    BEGIN SELECT RAISE(ABORT, '{ONLY_WITHDRAWN}'); END""",
)
POSTGRESQL_GUARDS = (
    f"""CREATE FUNCTION events_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '{NEVER_CHANGED}'; END $$""",
    f"""CREATE FUNCTION events_only_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM withdrawals WHERE event = OLD.id) THEN
            RAISE EXCEPTION '{ONLY_WITHDRAWN}';
        END IF;
        RETURN OLD;
    END $$""",
    """CREATE TRIGGER events_never_changed BEFORE UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION events_never_changed()""",
    """CREATE TRIGGER events_never_emptied BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_never_changed()""",
    """CREATE TRIGGER events_only_withdrawn BEFORE DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION events_only_withdrawn()""",
)
COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the four tables, and keep everybody from changing what was said."""
    op.create_table(
        "events",
        sa.Column("sequence", COUNTER, primary_key=True),
        sa.Column("id", sa.String(128), nullable=False, unique=True),
        sa.Column("row", sa.Text, nullable=False, index=True),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("answers", sa.JSON, nullable=False),
        sa.Column("judgement", sa.JSON, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("annotator", sa.String(128), nullable=False, index=True),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40)),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("comparison", sa.String(64), index=True),
        sa.Column("replaces", sa.String(128)),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_replaced", "events", ["replaces", "annotator"])
    op.create_table(
        "withdrawals",
        sa.Column("event", sa.String(128), primary_key=True),
        sa.Column("annotator", sa.String(128), nullable=False, index=True),
        sa.Column("withdrawn_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "annotators",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("invited_at", sa.String(40), nullable=False),
        sa.Column("revoked_at", sa.String(40)),
    )
    op.create_table(
        "comparisons",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("row", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("answers", sa.JSON, nullable=False),
        sa.Column("priority", sa.Double, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("added_at", sa.String(40), nullable=False),
    )
    op.create_index("comparisons_by_priority", "comparisons", ["priority", "id"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_GUARDS if is_sqlite else POSTGRESQL_GUARDS:
        op.execute(statement)

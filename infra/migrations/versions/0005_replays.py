"""Which revision of an event's results was last asked for by a replay."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table: one row an event, so that two replays never ask for the same revision."""
    op.execute("""
        CREATE TABLE replays (
            event_id uuid PRIMARY KEY,
            result_revision integer NOT NULL,
            asked_at timestamptz NOT NULL DEFAULT now()
        )
    """)


def downgrade() -> None:
    """Take it away."""
    op.execute("DROP TABLE replays")

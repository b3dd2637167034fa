"""Requests for storage commitment whose report was not answered yet."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute(
        """
        CREATE TABLE commitments (
            calling_ae            text NOT NULL,
            transaction_pseudonym text NOT NULL,
            request               bytea NOT NULL,
            attempts              integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
            requested_at          timestamptz NOT NULL DEFAULT now(),
            due_at                timestamptz NOT NULL,
            PRIMARY KEY (calling_ae, transaction_pseudonym)
        );
        COMMENT ON TABLE commitments IS
            'A row for each request for storage commitment, from its N-ACTION until its report was answered Success.';
        COMMENT ON COLUMN commitments.request IS 'Transaction and instances: AES-GCM, bound to the primary key.';
        COMMENT ON COLUMN commitments.due_at IS
            'When a report is tried next; whoever tries moves it on first, so that one tries at a time.';
        CREATE INDEX commitments_due ON commitments (due_at);
        """
    )


def downgrade() -> None:
    """Drop the table: what was asked and not reported yet is forgotten."""
    op.execute("DROP TABLE commitments")

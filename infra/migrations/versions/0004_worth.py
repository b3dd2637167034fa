"""What a result is worth: why a person should look, how sure the model is, how strange the image, how good the film."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; rows of older records keep what those records say: nothing."""
    op.execute("""
        ALTER TABLE inference_results
            ADD COLUMN review_reasons text[] NOT NULL DEFAULT '{}',
            ADD COLUMN uncertainty double precision,
            ADD COLUMN out_of_distribution double precision,
            ADD COLUMN quality jsonb NOT NULL DEFAULT '{}'
    """)


def downgrade() -> None:
    """Take them away: the log still holds every value."""
    op.execute("""
        ALTER TABLE inference_results
            DROP COLUMN review_reasons,
            DROP COLUMN uncertainty,
            DROP COLUMN out_of_distribution,
            DROP COLUMN quality
    """)

"""The results that people ask for, and the breakers of the consumer groups."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the view with the columns of INTERFACE.md, "A result"."""
    op.execute("""
        CREATE TABLE inference_results (
            result_id uuid PRIMARY KEY,
            result_revision integer NOT NULL,
            supersedes uuid,
            event_id uuid NOT NULL,
            object_key text NOT NULL,
            sha256 text NOT NULL,
            transfer_syntax_uid text NOT NULL,
            study_pseudonym text NOT NULL,
            instance_pseudonym text NOT NULL,
            model text NOT NULL,
            model_version text NOT NULL,
            deployment_revision integer NOT NULL,
            role text NOT NULL,
            outcome text NOT NULL,
            probabilities jsonb,
            finding text,
            threshold double precision,
            needs_review boolean NOT NULL,
            reason text,
            lane text NOT NULL,
            site text NOT NULL,
            calling_ae text NOT NULL,
            received_at timestamptz NOT NULL,
            completed_at timestamptz NOT NULL,
            stage_ms jsonb NOT NULL,
            identity_changed boolean NOT NULL,
            heatmap_key text,
            stored_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("CREATE INDEX inference_results_event ON inference_results (event_id)")
    op.execute("CREATE INDEX inference_results_study ON inference_results (study_pseudonym)")
    op.execute("CREATE INDEX inference_results_completed ON inference_results (completed_at)")
    op.execute(
        "CREATE INDEX inference_results_supersedes ON inference_results (supersedes) WHERE supersedes IS NOT NULL"
    )
    # A recalled result stays in the table and leaves the view: the one that names it took its place.
    op.execute("""
        CREATE VIEW results AS
        SELECT result_id,
               result_revision,
               instance_pseudonym AS sop_instance_uid,
               study_pseudonym AS study_instance_uid,
               true AS pseudonymous,
               model,
               model_version,
               deployment_revision,
               role,
               outcome,
               probabilities,
               finding,
               threshold,
               needs_review,
               reason,
               lane,
               site,
               received_at,
               completed_at,
               extract(epoch FROM completed_at - received_at)::double precision * 1000 AS latency_ms,
               heatmap_key AS heatmap
        FROM inference_results AS shown
        WHERE NOT EXISTS (SELECT 1 FROM inference_results AS later WHERE later.supersedes = shown.result_id)
    """)
    op.execute("""
        CREATE TABLE breakers (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            consumer_group text NOT NULL,
            cause text NOT NULL,
            opened_at timestamptz NOT NULL DEFAULT now(),
            closed_at timestamptz
        )
    """)
    op.execute("CREATE UNIQUE INDEX breakers_open ON breakers (consumer_group) WHERE closed_at IS NULL")


def downgrade() -> None:
    """Take them away: the log still holds every result."""
    op.execute("DROP TABLE breakers")
    op.execute("DROP VIEW results")
    op.execute("DROP TABLE inference_results")

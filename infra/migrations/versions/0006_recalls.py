"""A version that was recalled may come back: of two results that name each other the later revision is visible."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = """
    result_id, result_revision, instance_pseudonym AS sop_instance_uid, study_pseudonym AS study_instance_uid,
    true AS pseudonymous, model, model_version, deployment_revision, role, outcome, probabilities, finding, threshold,
    needs_review, reason, lane, site, received_at, completed_at,
    extract(epoch FROM completed_at - received_at)::double precision * 1000 AS latency_ms, heatmap_key AS heatmap
"""
_REPLACED = "SELECT 1 FROM inference_results AS later WHERE later.supersedes = shown.result_id"


def upgrade() -> None:
    """Hide a result only behind one of at least its own revision."""
    _view(f"{_REPLACED} AND later.result_revision >= shown.result_revision")


def downgrade() -> None:
    """Hide it behind any."""
    _view(_REPLACED)


def _view(replaced: str) -> None:
    op.execute(
        f"CREATE OR REPLACE VIEW results AS SELECT {_COLUMNS} FROM inference_results AS shown "  # noqa: S608 - no values
        f"WHERE NOT EXISTS ({replaced})"
    )

"""The listener's journal: a row for each event, and the vault of its identifiers."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the journal."""
    op.execute(
        """
        CREATE TABLE journal (
            event_id            uuid PRIMARY KEY,
            instance_pseudonym  text NOT NULL,
            study_pseudonym     text NOT NULL,
            patient_pseudonym   text,
            key_id              text NOT NULL,
            revision            integer NOT NULL CHECK (revision >= 1),
            supersedes          uuid REFERENCES journal (event_id),
            identity_changed    boolean NOT NULL,
            calling_ae          text NOT NULL,
            site                text NOT NULL,
            lane                text NOT NULL CHECK (lane IN ('stat', 'routine')),
            object_key          text NOT NULL,
            size_bytes          bigint NOT NULL CHECK (size_bytes > 0),
            identifiers         bytea NOT NULL,
            state               text NOT NULL CHECK (state IN
                                ('received', 'stored', 'publishing', 'published', 'acknowledged', 'purged')),
            slot                text NOT NULL,
            topic               text,
            kafka_partition     integer,
            end_offset          bigint,
            received_at         timestamptz NOT NULL,
            stored_at           timestamptz,
            publishing_at       timestamptz,
            published_at        timestamptz,
            acknowledged_at     timestamptz,
            purged_at           timestamptz,
            UNIQUE (instance_pseudonym, revision)
        );
        COMMENT ON TABLE journal IS 'A row for each event of the listener: how far it came, and who it is about.';
        COMMENT ON COLUMN journal.identifiers IS 'AES-GCM, bound to event_id.';
        COMMENT ON COLUMN journal.end_offset IS
            'No record of the event stands before this offset: a doubt is settled by reading from here.';
        CREATE INDEX journal_study ON journal (study_pseudonym);
        CREATE INDEX journal_acknowledged ON journal (acknowledged_at);
        """
    )


def downgrade() -> None:
    """Drop the journal, identifiers included."""
    op.execute("DROP TABLE journal")

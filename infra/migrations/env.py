"""Alembic's way into our database: the address comes from `radstream/deploy.py`, else from the settings."""

import psycopg2
from alembic import context
from sqlalchemy import create_engine, pool

from radstream.settings import Settings


def run() -> None:
    """Run the migrations in one transaction, one process at a time."""
    url = context.config.attributes.get("url") or Settings.from_environment().postgres_url
    engine = create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(url), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=False)
        with context.begin_transaction():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('radstream.migrations'))")
            context.run_migrations()


run()

"""A registry in this process: our own schemas under fixed ids."""

from schemas.codec import avro_text
from schemas.errors import SchemaMissing
from schemas.topics import RECORD_OF

_TOPICS = sorted(RECORD_OF)


class LocalIds:
    """What the codec needs of a registry."""

    def id_of(self, topic: str) -> int:
        """Give a topic's place in the alphabet."""
        return _TOPICS.index(topic)

    def schema_of(self, schema_id: int) -> str:
        """Give the text."""
        if schema_id >= len(_TOPICS):
            raise SchemaMissing(f"schema id {schema_id}")
        return avro_text(RECORD_OF[_TOPICS[schema_id]])

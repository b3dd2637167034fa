"""Foreign errors become ours in one place each, and each is mapped."""

import pytest
import urllib3
from confluent_kafka import KafkaError
from minio.error import S3Error

from radstream.broker.kafka import translate
from radstream.objects.stores import ERROR_OF, translated
from radstream.registry import RegistryIds
from schemas.errors import Fenced, KafkaDown, ObjectMissing, ObjectStoreDown, RegistryDown, TransactionAborted

NOWHERE = "http://127.0.0.1:9"


def _s3_error(code: str) -> S3Error:
    return S3Error(urllib3.HTTPResponse(), code, "no", "key", "request", "host")


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        *((_s3_error(code), kind) for code, kind in ERROR_OF.items()),
        (_s3_error("InternalError"), ObjectStoreDown),
        (_s3_error("NoSuchBucket"), ObjectStoreDown),
        (urllib3.exceptions.MaxRetryError(urllib3.HTTPConnectionPool("h"), "/"), ObjectStoreDown),
        (urllib3.exceptions.ProtocolError(), ObjectStoreDown),
        (ConnectionResetError(), ObjectStoreDown),
    ],
)
def test_object_store_errors(raised: Exception, ours: type[Exception]) -> None:
    """Gone is permanent, away is retriable: a wrong bucket is a matter of deployment, so nothing is given up."""
    with pytest.raises(ours), translated("instances/ab/ab.dcm", 1):
        raise raised


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (KafkaError(KafkaError.PRODUCER_FENCED), Fenced),
        (KafkaError(KafkaError.INVALID_PRODUCER_EPOCH), Fenced),
        (KafkaError(KafkaError._ALL_BROKERS_DOWN, fatal=True), Fenced),  # noqa: SLF001
        (KafkaError(KafkaError._ALL_BROKERS_DOWN), KafkaDown),  # noqa: SLF001
        (KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE, txn_requires_abort=True), TransactionAborted),
    ],
)
def test_kafka_errors(error: KafkaError, ours: type[Exception]) -> None:
    """Fenced ends the process, aborted seeks back, away waits."""
    assert type(translate(error, "a topic")) is ours


def test_registry_that_is_away() -> None:
    """No registry is a retriable state with the setting's name, not a traceback."""
    with pytest.raises(RegistryDown, match="RADSTREAM_SCHEMA_REGISTRY_URL"):
        RegistryIds(NOWHERE).schema_of(1)


def test_missing_object_names_its_key() -> None:
    """The message says which key."""
    with pytest.raises(ObjectMissing, match="instances/ab"), translated("instances/ab/ab.dcm"):
        raise _s3_error("NoSuchKey")

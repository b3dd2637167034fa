"""The one error tree, branched by what the caller can do about it.

RadStreamError
├── Unavailable (retriable: wait and try the same again)
│   ├── KafkaDown
│   ├── ModelLoading
│   ├── ObjectStoreDown
│   ├── PostgresDown
│   ├── RedisDown
│   └── RegistryDown
├── Fenced (exit: another process has taken this one's place)
├── TransactionAborted (seek back what is still owned and go on)
├── OffsetUnknown (exit: a group reads from nowhere until somebody says from where)
├── BadMessage (never retry: the same bytes fail again)
│   ├── UndecodableMessage
│   └── SchemaMissing
├── BadImage (never retry: ends in a result with a reason)
│   ├── NotEvaluable
│   ├── ObjectMissing
│   └── ObjectCorrupt
├── BadInstance (the sender is told by a DICOM status)
│   ├── MalformedUid
│   ├── ClassMismatch
│   ├── UnparsableDataSet
│   └── SpoolFull
├── ModelRefused (the package is not loaded, the old one goes on)
└── WrongCall (exit status 1 or 2, one line to a person)
    ├── SettingInvalid
    ├── SettingMissing
    ├── DeploymentRefused
    ├── NoSuchLetter
    ├── PortInUse
    ├── WorkersDie
    └── StackNotReady
"""

from typing import ClassVar

from schemas.words import Reason, ReviewReason


class RadStreamError(Exception):
    """Anything that went wrong in a way that we foresaw. Messages carry no patient data."""

    cause: str = "internal"  # a code for metrics, logs and dead letters
    retriable: ClassVar[bool] = False


def cause_of(error: BaseException) -> str:
    """Give an error's code for metrics, logs and dead letters; what nobody foresaw is `internal`.

    >>> cause_of(KafkaDown("away")), cause_of(KeyError())
    ('kafka_down', 'internal')
    """
    return error.cause if isinstance(error, RadStreamError) else RadStreamError.cause


class Unavailable(RadStreamError):
    """A server did not answer; the same call may succeed later."""

    cause = "unavailable"
    retriable = True


class KafkaDown(Unavailable):
    """No broker answered."""

    cause = "kafka_down"


class ModelLoading(Unavailable):
    """The version that must answer is not loaded yet."""

    cause = "model_loading"


class ObjectStoreDown(Unavailable):
    """The object store did not answer."""

    cause = "object_store_down"


class PostgresDown(Unavailable):
    """PostgreSQL did not answer."""

    cause = "postgres_down"


class RedisDown(Unavailable):
    """Redis did not answer."""

    cause = "redis_down"


class RegistryDown(Unavailable):
    """The schema registry did not answer."""

    cause = "registry_down"


class Fenced(RadStreamError):
    """Another process holds our transactional.id, or the producer met a fatal error: exit non-zero."""

    cause = "fenced"


class TransactionAborted(RadStreamError):
    """A transaction did not commit: seek back what is still owned and go on."""

    cause = "transaction_aborted"


class OffsetUnknown(RadStreamError):
    """A group has no committed offset, or one that the log no longer holds: starting anywhere would lose or repeat."""

    cause = "offset_unknown"


class BadMessage(RadStreamError):
    """A record that fails in the same way each time: it goes to the dead letters."""

    cause = "bad_message"


class UndecodableMessage(BadMessage):
    """The bytes are no record of the topic's schema."""

    cause = "undecodable_message"


class SchemaMissing(BadMessage):
    """The registry does not know a schema that we need; `radstream up` registers them."""

    cause = "schema_missing"


class BadImage(RadStreamError):
    """The image can't be evaluated: it ends in a result that says why."""

    cause = "internal"
    reason: Reason = Reason.INTERNAL


class NotEvaluable(BadImage):
    """The image is outside what can be decoded or what the model knows; `reason` says which."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.cause = str(reason)
        self.detail = detail

    @property
    def doubts(self) -> tuple[ReviewReason, ...]:
        """What the quality checks found, where they are the reason."""
        return tuple(map(ReviewReason, self.detail.split())) if self.reason is Reason.QUALITY else ()

    def __reduce__(self) -> tuple[type["NotEvaluable"], tuple[Reason, str]]:
        """Cross the border of a worker process whole."""
        return (type(self), (self.reason, self.detail))


class ObjectMissing(BadImage):
    """The object store answers that the key is not there: permanent, not "away"."""

    cause = "object_missing"
    reason = Reason.OBJECT_MISSING


class ObjectCorrupt(BadImage):
    """The object's hash is not the event's."""

    cause = "object_corrupt"
    reason = Reason.OBJECT_CORRUPT


class BadInstance(RadStreamError):
    """A C-STORE that is answered with a status other than Success."""


class MalformedUid(BadInstance):
    """A UID that PS3.5 9.1 does not allow."""

    cause = "malformed_uid"


class ClassMismatch(BadInstance):
    """The command's UID or class differs from the data set's."""

    cause = "class_mismatch"


class UnparsableDataSet(BadInstance):
    """The data set can't be parsed; nothing of it is kept."""

    cause = "unparsable_data_set"


class SpoolFull(BadInstance):
    """The spool's file system is over its watermark: nothing durable is possible."""

    cause = "spool_full"


class ModelRefused(RadStreamError):
    """A model package that doesn't verify, doesn't load or fails its self-test."""

    cause = "model_refused"


class WrongCall(RadStreamError):
    """A person must change something; the message says what."""

    cause = "wrong_call"


class SettingInvalid(WrongCall):
    """A setting's value can't be used."""

    cause = "setting_invalid"


class SettingMissing(WrongCall):
    """A setting without a default is not set."""

    cause = "setting_missing"


class DeploymentRefused(WrongCall):
    """A deployment that makes no sense, or one that somebody else was ahead of; nothing was changed."""

    cause = "deployment_refused"


class NoSuchLetter(WrongCall):
    """No dead letter has this id."""

    cause = "no_such_letter"


class PortInUse(WrongCall):
    """Another program listens where ours should."""

    cause = "port_in_use"


class WorkersDie(WrongCall):
    """The processes of a service die again and again: somebody must look."""

    cause = "workers_die"


class StackNotReady(WrongCall):
    """A component did not become ready in time."""

    cause = "stack_not_ready"

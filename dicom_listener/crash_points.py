"""Places where a test may have the listener killed (radstream.crash_points)."""

from enum import StrEnum, unique


@unique
class Step(StrEnum):
    """The steps of an image, in order."""

    BEFORE_FSYNC = "before-fsync"  # arrived whole, not durable
    AFTER_FSYNC = "after-fsync"  # durable in the spool, nothing else
    BEFORE_JOURNAL = "before-journal"  # read back, about to be registered
    AFTER_JOURNAL = "after-journal"  # in the journal
    BEFORE_PUT = "before-put"  # about to be stored
    AFTER_PUT = "after-put"  # in the object store
    BEFORE_PUBLISH = "before-publish"  # stored, about to be written
    BEFORE_COMMIT = "before-commit"  # the broker has the event, its transaction is open
    AFTER_COMMIT = "after-commit"  # in the log; the journal doesn't know
    BEFORE_ANSWER = "before-answer"  # in the log; the sender doesn't know
    BEFORE_NOTE = "before-note"  # in the log, the sender may know; the journal doesn't

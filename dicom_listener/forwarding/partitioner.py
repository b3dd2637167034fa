"""Which partition a key goes to: Murmur2, as Java, Faust and librdkafka's `murmur2_random` reckon."""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_WORD = 0xFFFFFFFF
_POSITIVE = 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition of a record with a key. Source: Kafka's `Utils.murmur2` and `toPositive`.

    >>> partition_of(b"2.25.1", 4) == (murmur2(b"2.25.1") & 0x7FFFFFFF) % 4
    True
    """
    return (murmur2(key) & _POSITIVE) % partitions


def murmur2(data: bytes) -> int:
    """Hash bytes to 32 bits.

    >>> murmur2(b"21") - 2**32  # a test vector of Kafka's own
    -973932308
    """
    found = (_SEED ^ len(data)) & _WORD
    whole = len(data) - len(data) % 4
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _M & _WORD
        word ^= word >> _R
        found = (found * _M & _WORD) ^ (word * _M & _WORD)
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * _M & _WORD
    found ^= found >> 13
    found = found * _M & _WORD
    return found ^ found >> 15

"""What a UID may look like (PS3.5 9.1)."""

import re

_LONGEST = 64
_COMPONENTS = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)


def well_formed(uid: str) -> bool:
    """Say whether a UID has digits and dots only, and at most 64 of them; leading zeros pass, as devices send them.

    >>> well_formed("1.2.840.10008.1.1"), well_formed("1..2"), well_formed("../1")
    (True, False, False)
    """
    return len(uid) <= _LONGEST and _COMPONENTS.fullmatch(uid) is not None

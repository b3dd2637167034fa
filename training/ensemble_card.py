"""MODEL_CARD.md of an ensemble, written from its manifest."""

from collections.abc import Mapping
from typing import Any

from training.card import metrics_table

TEMPLATE = """\
# {name} {version}

**Not for diagnostic use.** A research model; each of its results needs clinical review.

## What it is

An ensemble: these packages of {name} see each image, and the answer is the mean of their calibrated probabilities, read
at temperature {temperature} and threshold {threshold} ({rule}; fixed on: {chosen_on}).

{members}

Everything that their cards say against a use of one of them holds of the ensemble: trained on the same films, they are
wrong together. What they must not be used for, the data and the weaknesses stand in the cards of the members.

- `uncertainty` is that of the mean; `disagreement` is the part of it that the members differ by.
- A person should look (`members_disagree`) when some members find {positive}, each at its own threshold, and others
  don't.
- The heat map is the mean of the members' maps where all have maps of one shape, else the first member's. Projection
  and strangeness are the first member's.

## How good it is

{metrics}
Made by `radstream model ensemble`.
"""


def ensemble_card_of(manifest: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    test = manifest["metrics"].get("test")
    measured = (
        "Not measured: temperature and threshold were given, no data were.\n"
        if test is None
        else f"On the test part, which chose nothing.\n\n{metrics_table(test)}\n"
    )
    return TEMPLATE.format(
        name=manifest["name"],
        version=manifest["version"],
        positive=manifest["positive"],
        temperature=manifest["calibration"]["temperature"],
        threshold=manifest["threshold"]["value"],
        rule=manifest["threshold"]["rule"],
        chosen_on=manifest["threshold"]["chosen_on"],
        members="\n".join(f"- {one['version']} (manifest {one['manifest'][:12]}…)" for one in manifest["members"]),
        metrics=measured,
    )

"""MODEL_CARD.md, written from the manifest, so that no number in it is typed by hand."""

from collections.abc import Mapping
from typing import Any

SHARES = {
    "accuracy": "Accuracy",
    "recall": "Recall (sensitivity)",
    "specificity": "Specificity",
    "precision": "Precision",
}

TEMPLATE = """\
# {name} {version}

**Not for diagnostic use.** A research model that shows how RadStream works. Each of its results needs clinical review;
it is no medical device, and no study has shown that it helps anybody.

## What it does

Tells {positive} from {negative} on one frontal chest film: a calibrated probability, and `{positive}` at or above
{threshold}. It says nothing of any other finding, nor where on the film a finding lies.

## What it must not be used for

- **Other people than its data show** ({population}). On others it may be at chance or worse, and sure of itself.
- Lateral films, other parts of the body, photographs of films, other diseases.
- Any decision about a patient without a person who has read the film.
- Sites whose films were never compared with its reference: expect it to fail there, and watch drift.

## Data

{citation}. Licence: {licence}. People: {population}. {films} films of {patients} patients.

Split by patient, so that no patient is in two parts: {rule}.

{parts}

## How good it is

On the test part, which chose nothing; threshold and temperature ({temperature}) were frozen on validation before.
Intervals: 95 %, DeLong for the AUC and Wilson for shares; they take films as independent, though some patients have
several.

{test}

The threshold's rule: {threshold_rule}. Wanted recall {recall_wanted}; reached on validation: recall
{validation_recall:.4f}, specificity {validation_specificity:.4f}.
{external}{precision}
## Known weaknesses

- The two classes may differ in how the films were made, not only in the lungs (positioning, collimation, compression),
  and a part of the accuracy may be that. An unbiased test needs the same people at another site.
- Labels were given by readers of the film, without a reference such as CT or culture.
- Age, sex and device are not in the data: fairness between groups was not measured.
- The share of {positive} in the data is far above a clinic's: precision will be lower there.
- It was not trained on the phantoms that `make demo` sends; its answers to them mean nothing.

## How it was made

`{architecture}`, from {initial_weights}; AdamW, one cycle of the learning rate, class weights, label smoothing, a
running mean of the weights, small rotations, shifts, scalings and changes of exposure (no mirror images), BatchNorm
statistics recomputed, stopped by validation AUC: epoch {best_epoch} of {epochs}, {minutes:.0f} minutes on {threads}
CPU thread(s).
Every number of the recipe stands in `manifest.json`. Made by `python -m training fit`.
"""


def card_of(manifest: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    threshold, training, data = manifest["threshold"], manifest["training"], manifest["data"]
    return TEMPLATE.format(
        name=manifest["name"],
        version=manifest["version"],
        architecture=manifest["architecture"],
        negative=manifest["classes"][0],
        positive=manifest["positive"],
        threshold=threshold["value"],
        threshold_rule=threshold["rule"],
        recall_wanted=threshold["recall_wanted"],
        validation_recall=threshold["recall"],
        validation_specificity=threshold["specificity"],
        temperature=manifest["calibration"]["temperature"],
        rule=f"`{manifest['split']['rule']}`",
        test=metrics_table(manifest["metrics"]["test"]),
        external=_external(manifest["metrics"]["external"]),
        epochs=len(training["history"]),
        minutes=training["seconds"] / 60,
        **{key: training[key] for key in ("initial_weights", "best_epoch", "threads")},
        **{key: data[key] for key in ("citation", "licence", "population", "films", "patients")},
        parts=_parts(data["parts"]),
        precision=_precision(manifest),
    )


def _parts(parts: Mapping[str, Any]) -> str:
    """Return the table of parts."""
    classes = list(next(iter(parts.values()))["films"])
    rows = [["part", "patients", *classes], ["---"] * (len(classes) + 2)]
    rows += [[part, one["patients"], *(one["films"][name] for name in classes)] for part, one in parts.items()]
    return "\n".join(_row(row) for row in rows)


def metrics_table(metrics: Mapping[str, Any]) -> str:
    """Return the table of measures."""
    area = metrics["auc"]
    rows: list[list[object]] = [["measure", "value", "95 % interval", "films"], ["---"] * 4]
    rows.append(["AUC", f"{area['value']:.4f}", f"{area['low']:.4f} to {area['high']:.4f}", area["n"]])
    for key, name in SHARES.items():
        one = metrics[key]
        rows.append([name, f"{one['value']:.2%}", f"{one['low']:.2%} to {one['high']:.2%}", one["n"]])
    rows.append(["Expected calibration error", f"{metrics['calibration_error']:.4f}", "", area["n"]])
    return "\n".join(_row(row) for row in rows)


def _external(external: Mapping[str, Any]) -> str:
    """Return a section on other sites, empty where none was measured."""
    if not external:
        return ""
    tables = [f"`{name}`: {one['population']}.\n\n{metrics_table(one['metrics'])}\n" for name, one in external.items()]
    return "\n".join(["\n## On other sites, which it was not made for\n", *tables])


def _precision(manifest: Mapping[str, Any]) -> str:
    """Return a section on an int8 graph, empty for a float32 one."""
    found = manifest.get("precision")
    if not found:
        return ""
    gate = found["gate"]
    return f"""
## In int8

The graph was quantised by {found["made_by"]} from version {found["from"]["version"]}, calibrated on
{found["calibrated_on"]}; temperature and threshold were fixed anew on validation. On the {gate["films"]} films of test
the AUC went from {gate["auc_float32"]:.4f} to {gate["auc_int8"]:.4f}, {gate["decisions_changed"]:.2%} of decisions
changed, and no probability moved by more than {gate["largest_move"]:.3f}. `weights.safetensors` holds the float32
network that it was made from: torch does not serve this package.
"""


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"

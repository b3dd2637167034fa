"""Write the tables of the docs from the code: `python docs/tables.py` after a change of settings or topics."""

from pathlib import Path

import conformance
import figures
import inference_plots
import listener_plots

from radstream.settings import documentation
from schemas.topics import TOPICS, Topic

HERE = Path(__file__).parent
_DAY_MS = 86_400_000
_MARK = "<!-- figures -->"


def settings_page() -> str:
    """Give docs/settings.md."""
    rows = [f"| `{name}` | {f'`{default}`' if default else '-'} | {doc} |" for name, default, doc in documentation()]
    return "\n".join(
        [
            "# Settings",
            "",
            "Each comes from the environment, else from `.radstream/env`, else from its default.",
            "`RADSTREAM_PORT_OFFSET` moves default ports. Made of `radstream/settings.py` by `python docs/tables.py`.",
            "",
            "| variable | default | means |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def topics_page() -> str:
    """Give docs/topics.md."""
    rows = [
        f"| `{topic.name}` | {topic.record or 'Faust'} | {topic.key} | {topic.partitions} | {_kept(topic)} |"
        for topic in TOPICS
    ]
    return "\n".join(
        [
            "# Topics",
            "",
            "Made from `schemas/topics.py` by `python docs/tables.py`; fields and units stand in `schemas/avro/`.",
            "",
            "| topic | record | key | partitions | kept |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "newest of each key"
    return "for ever" if topic.retention_ms is None else f"{topic.retention_ms // _DAY_MS} days"


def readme() -> str:
    """Give README with today's figures between its marks."""
    before, _, rest = (HERE.parent / "README.md").read_text("utf-8").partition(_MARK)
    after = rest.rpartition(_MARK)[2]
    return f"{before}{_MARK}\n{figures.first_screen()}\n{_MARK}{after}"


PAGES = {
    "settings.md": settings_page,
    "topics.md": topics_page,
    "figures.md": figures.page,
    "conformance.md": conformance.page,
    "listener.svg": listener_plots.listener,
    "soak.svg": listener_plots.soak,
    "inference.svg": inference_plots.throughput,
    "inference-load.svg": inference_plots.load,
    "inference-memory.svg": inference_plots.memory,
    "peers.svg": inference_plots.peers,
    "../README.md": readme,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), "utf-8")

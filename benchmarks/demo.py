"""How long `make demo` takes: in an empty state folder, and the second time.

`python benchmarks/demo.py` writes benchmarks/results/demo.json. What is installed stays installed: a machine with
nothing set up takes `make setup-demo`'s time more, which the demo says itself when it installs something.
"""

import re
import subprocess
import tempfile
import time
from pathlib import Path

from _record import ROOT, plain_environment, write

BAR_SECONDS = 40.0


def run(folder: str) -> dict[str, float | int]:
    """Run the demo once; take its own times out of what it says."""
    began = time.monotonic()
    done = subprocess.run(
        ["make", "-s", "demo"],
        cwd=ROOT,
        env=plain_environment() | {"RADSTREAM_STATE_DIR": folder},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"make demo ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    ready = re.search(r"ready after ([\d.]+) s", done.stdout)
    images = re.search(r"(\d+) files: (\d+) acknowledged, (\d+) of them with a result", done.stdout)
    return {
        "seconds": round(seconds, 1),
        "system_ready_seconds": float(ready[1]) if ready else 0.0,
        "results": int(images[3]) if images else 0,
    }


def main() -> None:
    """Measure twice in one folder."""
    with tempfile.TemporaryDirectory(prefix="rs-bench-") as folder:
        Path(folder).chmod(0o755)
        first, second = run(folder), run(folder)
    write(
        "demo",
        {
            "empty_state_folder": first,
            "second_time": second,
            "bars": {"second_time_seconds": BAR_SECONDS, "met": second["seconds"] < BAR_SECONDS},
        },
    )


if __name__ == "__main__":
    main()

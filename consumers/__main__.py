"""`python -m consumers inference` and `python -m consumers sink`: the composition root of stage 2."""

import sys
from collections.abc import Mapping
from importlib import import_module

from radstream.service import Health, Stop, run_service
from radstream.settings import Settings

EXIT_WRONG_CALL = 2

#: Each service's module, imported only when it is asked for: a sink needs no decoder.
SERVICES: Mapping[str, str] = {"inference": "consumers.start_inference", "sink": "consumers.serve_sink"}


def main(words: list[str]) -> int:
    """Run the service that is named; give its exit status."""
    if len(words) != 1 or words[0] not in SERVICES:
        print(f"usage: python -m consumers {' | '.join(SERVICES)}", file=sys.stderr)  # noqa: T201 - for a person
        return EXIT_WRONG_CALL

    def run(settings: Settings, health: Health, stop: Stop) -> None:
        import_module(SERVICES[words[0]]).serve(settings, health, stop)

    return run_service(words[0], run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Parts of benchmarks/inference.py beside the ratios: cold start, members, latency under load, STAT first."""

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from _consumer import Publisher, Results, inference
from _record import percentiles

from radstream.settings import Settings
from schemas.instance_received import InstanceReceived
from schemas.words import Lane

Environment = Mapping[str, str]
Events = Sequence[InstanceReceived]

PATIENCE_SECONDS = 300.0
WARM_UP = 16
STAT_PER_SECOND = 4.0
COLD_BAR_SECONDS = 3.0


def cold_start(settings: Settings, environment: Environment, events: Events, rounds: int) -> dict[str, object]:
    """Start the process with an image waiting: seconds to its committed result."""
    publisher, results, taken = Publisher(settings), Results(settings), []
    for _ in range(max(2, rounds)):
        before = len(results.seen)
        publisher.publish(events[:1])
        began = time.time()
        with inference(environment, wait=False):
            results.wait(before + 1, PATIENCE_SECONDS)
        taken.append(results.seen[-1][0] - began)
    results.close()
    median = statistics.median(taken)
    return {"seconds": round(median, 2), "rounds": [round(one, 2) for one in taken], "bar": COLD_BAR_SECONDS}


def members(settings: Settings, environment: Environment, events: Events, seconds: float) -> dict[str, object]:
    """Share a backlog among 1, 2 and 4 processes of one group: images a second."""
    publisher, results, found = Publisher(settings), Results(settings), {}
    for count in (1, 2, 4):
        with ExitStack() as stack:
            for slot in range(count):
                stack.enter_context(inference(environment, str(slot)))
            publisher.publish([events[0]] * WARM_UP)
            results.wait(len(results.seen) + 1, PATIENCE_SECONDS)
            found[str(count)] = round(_capacity(publisher, results, events, seconds), 2)
    results.close()
    return {"images_per_second": found}


def _capacity(publisher: Publisher, results: Results, events: Events, seconds: float) -> float:
    """Keep a backlog waiting for so long; give images a second. What is left at the end is waited for."""
    settle(results)
    began, before, sent = time.time(), len(results.seen), 0
    while time.time() < began + seconds:
        waiting = sent - (len(results.seen) - before)
        if waiting < 4 * WARM_UP:
            publisher.publish([events[number % len(events)] for number in range(2 * WARM_UP)])
            sent += 2 * WARM_UP
        time.sleep(0.05)
    done, ended = len(results.seen) - before, time.time()
    results.wait(before + sent, PATIENCE_SECONDS)
    return done / (ended - began)


def settle(results: Results) -> None:
    """Wait until no more results come."""
    count = -1
    while count != len(results.seen):
        count = len(results.seen)
        time.sleep(1.0)


def latency(settings: Settings, environment: Environment, events: Events, seconds: float) -> dict[str, object]:
    """Measure from receipt to a read_committed reader, at shares of the rate that a backlog reaches (milliseconds)."""
    publisher, results = Publisher(settings), Results(settings)
    found: dict[str, object] = {}
    with inference(environment):
        publisher.publish([events[0]] * WARM_UP)
        capacity = _capacity(publisher, results, events, seconds)
        found["capacity_per_second"] = round(capacity, 2)
        for share in (0.1, 0.5, 0.9):
            found[f"{share:.0%}"] = percentiles(_at_rate(publisher, results, events, (share * capacity, seconds)))
    results.close()
    return found


def _at_rate(publisher: Publisher, results: Results, events: Events, pace: tuple[float, float]) -> list[float]:
    """Publish evenly at a rate for some seconds; give each image's latency (ms)."""
    settle(results)
    rate, seconds = pace
    before, began, count = len(results.seen), time.time(), max(8, int(pace[0] * seconds))
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.time()))
        publisher.publish([events[number % len(events)]])
    results.wait(before + count, PATIENCE_SECONDS)
    return [1000 * (arrived - received) for arrived, received in results.seen[before : before + count]]


def stat_first(
    settings: Settings, environment: Environment, events: Events, counts: tuple[int, int]
) -> dict[str, object]:
    """Send STAT images at an even pace while thousands of routine ones wait: receipt to reader (milliseconds).

    The bar: twice the largest batch's age limit plus its forward, the forward as measured under this load.
    """
    stat_images, backlog = counts
    publisher, results = Publisher(settings), Results(settings)
    with inference(environment) as process:
        publisher.publish([events[number % len(events)] for number in range(backlog)])
        results.wait(len(results.seen) + WARM_UP, PATIENCE_SECONDS)
        before, began, sent = len(results.seen), time.time(), []
        for number in range(stat_images):
            time.sleep(max(0.0, began + number / STAT_PER_SECOND - time.time()))
            sent.append(time.time())
            publisher.publish([events[number % len(events)]], Lane.STAT)
        time.sleep(2.0)
        waited = _stat_latencies(results, before, sent)
        routine_done = len(results.seen) - before - len(waited)
        forwards = process.meter('radstream_stage_seconds_count{lane="routine",stage="forward"}')
        forward_ms = 1000 * process.meter('radstream_stage_seconds_sum{lane="routine",stage="forward"}') / forwards
    results.close()
    stat = percentiles(waited)
    bar = 2 * (1000 * settings.batch_age_seconds + forward_ms)
    return {
        "stat_ms": stat,
        "routine_waiting_at_start": backlog - before,
        "routine_waiting_at_end": backlog - before - routine_done,
        "routine_per_second_meanwhile": round(routine_done / (time.time() - began), 1),
        "forward_ms": round(forward_ms, 1),
        "bar_p99_ms": round(bar, 1),
        "met": stat["p99"] <= bar,
    }


def _stat_latencies(results: Results, before: int, sent: Sequence[float]) -> list[float]:
    """Find the results of images received after the first of these moments: routine ones were received before."""
    first = min(sent)
    return [1000 * (arrived - received) for arrived, received in results.seen[before:] if received >= first]

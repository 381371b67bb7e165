"""The server's estimators agree with the browser's on the same logs.

The results in tests/js/estimators.json are checked against the browser's modules by
tests/js/speedtest-estimators.test.mjs.
"""

import json
from pathlib import Path

import pytest

from speedtest import estimators

SHARED = json.loads((Path(__file__).resolve().parents[1] / "js/estimators.json").read_text())


def near(actual, wanted) -> None:
    if isinstance(wanted, dict):
        assert set(actual) == set(wanted)
        for name, value in wanted.items():
            near(actual[name], value)
    elif isinstance(wanted, list | float):
        assert actual == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    else:
        assert actual == wanted


@pytest.mark.parametrize("one", SHARED["phases"], ids=lambda one: one["name"])
def test_the_figures_of_a_phase(one):
    requests = [estimators.Request(*request) for request in one.get("requests", ())]

    def bytes_in(begin: float, end: float) -> float:
        if "log" in one:
            log = one["log"]
            return estimators.total_at(log, end) - estimators.total_at(log, begin)
        return estimators.acknowledged_bytes(requests, begin, end)

    window = estimators.window_of(one["start"], one["stop"], one["warm_ms"], one["fifth_at"])
    figures = estimators.phase_figures(
        bytes_in, start=one["start"], window=window, streams=one["streams"], size=one["bytes"]
    )
    probes = [estimators.Probe(*probe) for probe in one["probes"]]
    near(
        figures | estimators.loaded_figures(probes, window.begin, one["idle_median"]), one["wanted"]
    )


@pytest.mark.parametrize("one", SHARED["stops"])
def test_the_stop_rule(one):
    given = {name: value for name, value in one.items() if name not in ("wanted", "bytes")}
    assert estimators.stop_reason(size=one["bytes"], **given) == one["wanted"]


@pytest.mark.parametrize(("size", "ms", "least", "most", "wanted"), SHARED["sizes"])
def test_the_next_size(size, ms, least, most, wanted):
    assert estimators.next_size(size, ms, least, most) == wanted


def test_the_other_figures():
    for one in SHARED["idle"]:
        near(estimators.idle_figures(one["times"], one["dropped"]), one["wanted"])
    for one in SHARED["files"]:
        requests = [estimators.Request(*request, 1) for request in one["requests"]]
        assert estimators.files_per_second(requests, one["from"], one["to"]) == one["wanted"]
    for one in SHARED["moved"]:
        near(estimators.bytes_moved(one["figures"], one["parts"]), one["wanted"])


def test_a_half_rate_halves_the_figure():
    def headline(size: float) -> float:
        log = [(0.0, 0.0), (10_000.0, size)]
        return estimators.phase_figures(
            lambda a, b: estimators.total_at(log, b) - estimators.total_at(log, a),
            start=0,
            window=estimators.window_of(0, 10_000, 2000, None),
            streams=4,
            size=size,
        )["mbps"]

    assert headline(50_000_000) == pytest.approx(40)
    assert headline(25_000_000) == pytest.approx(20)

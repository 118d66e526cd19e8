"""microgpt bench: results are checked before they are timed."""

import gc
import json

import pytest

from microgpt import cli, engines
from microgpt.compiled import exact as _exact
from microgpt.proof import bench

TIMINGS = {
    "python": bench.Timing(1000.0, 7.0, 90.0, [3.0, 2.5], ["ann"], 2**20),
    "graph": bench.Timing(4.0, 7.0, 9e4, [3.0, 2.5], ["ann"], 2**20),
    "exact": bench.Timing(1.0, 7.0, 9e5, [3.0, 2.5], ["ann"], None),
}


@pytest.fixture
def measured(monkeypatch):
    """Replaces measuring by TIMINGS, which a test may change. Yields the list of measured cases."""
    timings, cases = dict(TIMINGS), []
    monkeypatch.setattr(bench, "_in_fresh_process", lambda case, source: cases.append(case) or timings[case.engine])
    return timings, cases


def test_ratios_and_spread(measured):
    timings, cases = measured
    [row] = bench.compare([bench.Case("graph")], "names", rounds=3)
    assert (row.us_per_document, row.us_spread, row.ratio, row.ratio_spread) == (28.0, (28.0, 28.0), 250.0, (250.0, 250.0))
    assert cases == [bench.Case("python"), bench.Case("graph")] * 3
    assert "28" in bench.table([row]) and "250" in bench.table([row])


def test_a_result_that_differs_gets_no_time(measured):
    timings, _ = measured
    timings["graph"] = timings["graph"]._replace(losses=[3.0, 2.5000000000000004])
    rows = bench.compare([bench.Case("python"), bench.Case("graph")], "names", rounds=1)
    assert rows[1].us_per_document is None and rows[1].ratio is None
    assert rows[1].differs == "loss of step 2: 2.5000000000000004, reference 2.5"
    assert "no time: loss of step 2" in bench.table(rows).splitlines()[2]
    timings["fast"] = timings["graph"]  # which may round
    assert bench.compare([bench.Case("fast")], "names", rounds=1)[0].differs is None
    timings["fast"] = timings["fast"]._replace(losses=[3.0, 2.5001])
    assert bench.compare([bench.Case("fast")], "names", rounds=1)[0].differs == "loss of step 2: 2.5001, reference 2.5"
    timings["graph"] = TIMINGS["graph"]._replace(samples=["anna"])
    [row] = bench.compare([bench.Case("graph")], "names", rounds=1)
    assert row.us_per_document is None and row.differs == "samples ['anna'], reference ['ann']"


def test_a_measurement(tmp_path, monkeypatch):
    data = tmp_path / "docs.txt"
    data.write_text("emma\nolivia\nava\nisabella\n", encoding="utf-8")
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    monkeypatch.setattr(bench, "PYTHON_SECONDS", 0.01)
    timings = {engine: bench.measure(bench.Case(engine, n_embd=8), str(data)) for engine in ("python", "value", "graph", "exact", "fast")}
    pure = timings["python"]
    for engine, timing in timings.items():
        assert timing.losses == (pytest.approx(pure.losses, rel=1e-6) if engine == "fast" else pure.losses) and len(timing.losses) == 2
        assert timing.samples == pure.samples and len(timing.samples) == 2
        assert timing.us_per_token > 0 and timing.mean_tokens == 6.25
        assert timing.characters_per_second > 0
        assert timing.memory is None or timing.memory > 2**20


@pytest.mark.parametrize("collector", [True, False])
def test_the_collector_is_as_the_case_has_it(tmp_path, monkeypatch, collector):
    data, seen = tmp_path / "docs.txt", []
    data.write_text("ab\n", encoding="utf-8")
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    monkeypatch.setattr(bench, "_sample", lambda *_: seen.append(gc.isenabled()) or ([], 1.0))
    try:
        bench.measure(bench.Case("exact", n_embd=8, collector=collector), str(data))
    finally:
        gc.enable()
    assert seen == [collector]


def test_a_failing_measurement_is_an_error():
    with pytest.raises(RuntimeError, match="measuring graph, n_embd 8, collector on failed: .*nowhere"):
        bench._in_fresh_process(bench.Case("graph", n_embd=8), "nowhere.txt")


def test_the_command(measured, monkeypatch, capsys, tmp_path):
    data = tmp_path / "docs.txt"
    data.write_text("emma\n", encoding="utf-8")
    timings, _ = measured
    timings["value"] = timings["fast"] = timings["graph"]
    monkeypatch.setattr(bench, "machine", lambda: {"processor": "P"})
    assert cli.main(["bench", "--data", str(data), "--rounds", "1"]) == 0
    assert "processor       P" in (out := capsys.readouterr().out) and "graph" in out
    assert cli.main(["bench", "--data", str(data), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["machine"] == {"processor": "P"}
    assert {"case", "us_per_document", "ratio", "memory", "differs"} <= set(report["rows"][0])
    timings["exact"] = timings["exact"]._replace(losses=[1.0, 1.0])
    assert cli.main(["bench", "--data", str(data)]) == 1
    assert "results differ from the reference's" in capsys.readouterr().err
    assert cli.main(["bench", "--rounds", "0"]) == 2 and cli.main(["bench", "--data", "-"]) == 2
    assert cli.main(["bench", "--n-embd", "10"]) == 2


def test_every_engine_and_instruction_set_is_measured():
    cases = bench.cases_of(16, 32)
    assert {case.engine for case in cases} == {"value", *engines.ENGINES}
    assert {case.isa for case in cases} >= set(_exact.info()["isas"])


def test_an_instruction_set_can_be_chosen(tmp_path):
    data = tmp_path / "docs.txt"
    data.write_text("emma\n", encoding="utf-8")
    timing = bench._in_fresh_process(bench.Case("exact", n_embd=8, isa="baseline"), str(data))
    assert timing.us_per_token > 0 and len(timing.losses) == len(timing.samples) == 2
    with pytest.raises(RuntimeError, match="MICROGPT_ISA is 'abacus'"):
        bench._in_fresh_process(bench.Case("exact", n_embd=8, isa="abacus"), str(data))


def test_the_machine_is_described():
    assert set(bench.machine()) == {"processor", "cores", "system", "python", "compiler", "instruction set"}

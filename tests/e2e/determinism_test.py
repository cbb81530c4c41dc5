"""Two runs of one configuration give the same bits: every metric that is no time, and every byte of a checkpoint."""

import pytest
from checkpoints import tensor_bytes
from jobs import read_metrics, succeed, without_timing

PLACES = {
    "alone": ({}, 1, 1),
    "two_threads": ({}, 1, 2),
    "data_tensor": ({"data": 2, "tensor": 2, "zero_stage": 2}, 4, 1),
    "data_pipeline": ({"data": 2, "pipeline": 2, "schedule": "zb_h1"}, 4, 1),
}


def results(folder):
    return without_timing(read_metrics(folder)), tensor_bytes(folder / "checkpoints/latest")


@pytest.mark.parametrize(
    ("place", "dtype"), [*((place, "float32") for place in PLACES), ("two_threads", "bfloat16"), ("data_tensor", "bfloat16")]
)
def test_two_runs_are_equal_to_the_bit(scored_run, tmp_path, place, dtype):
    parallel, ranks, threads = PLACES[place]
    runs = []
    for name in ("first", "second"):
        config = scored_run.config(
            model={"dtype": dtype},
            reference={"dtype": "float32"},
            parallel=parallel,
            output={"directory": str(tmp_path / name)},
        )
        succeed("train", config, ranks=ranks, threads=threads)
        runs.append(results(tmp_path / name))
    assert len(runs[0][0]) > 6
    assert runs[0] == runs[1]

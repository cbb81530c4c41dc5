"""cluster/mini: what it starts is a cluster, on which the program gives what it gives without one, and it leaves nothing."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import processes_of
from jobs import BINARY, PATIENCE, step_metrics, succeed, without_timing
from mini_cluster import MINI, MiniCluster

RANKS = 4


def test_four_nodes_compute_bit_for_bit_what_four_ranks_of_mpirun_compute(cluster, write_run):
    config, output = write_run("slurm")
    done = cluster.run("srun", "--mpi=pmix", "-N4", f"-n{RANKS}", BINARY, "train", config, env={"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    other, other_output = write_run("mpirun")
    succeed("train", other, ranks=RANKS)
    assert len(step_metrics(output)) == 4
    assert without_timing(step_metrics(output)) == without_timing(step_metrics(other_output))


def test_a_job_in_low_is_preempted_by_one_in_high_and_comes_back(cluster, tmp_path):
    # SIGTERM ends its step, but a job that leaves inside the grace time has failed, for Slurm; so it stays. Come back, it is done.
    script = tmp_path / "low"
    script.write_text('#!/bin/bash\n[ -n "$SLURM_RESTART_COUNT" ] || { srun sleep 60; sleep 60; }\n')
    low = cluster.submit("--partition=low", "-N4", "--requeue", f"--output={tmp_path}/low.log", script)
    cluster.wait_for_state(low, "RUNNING")
    high = cluster.submit("--partition=high", "-N4", "--output=/dev/null", "--wrap", "true")
    assert cluster.wait_for_end(high)["JobState"] == "COMPLETED"
    job = cluster.wait_for_end(low)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")


def test_status_names_all_daemons_and_a_second_start_is_refused(cluster):
    done = cluster.mini("status")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines() if "lives" in line] == ["keeper", "munged", "slurmctld", "n1", "n2", "n3", "n4"]
    again = cluster.mini("start")
    assert again.returncode == 1 and "runs there already" in again.stderr


@pytest.fixture
def folder():
    path = Path(tempfile.mkdtemp(prefix="mini"))
    yield path
    shutil.rmtree(path)


def sockets_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]


def test_stop_leaves_no_process_and_no_socket_though_jobs_run(folder):
    with MiniCluster(folder, nodes=2) as cluster:
        # It lets go of its parent, its session and its signals.
        job = cluster.submit("-N2", "--output=/dev/null", "--wrap", "trap '' TERM INT; srun setsid bash -c \"trap '' TERM; sleep 100 & wait\"")
        cluster.wait_for_state(job, "RUNNING")
        assert processes_of(folder) and sockets_in(folder)
    assert processes_of(folder) == []
    assert sockets_in(folder) == []


def test_a_cluster_ends_with_the_process_that_it_was_started_for(folder):
    owner = subprocess.Popen(["sleep", "100"])
    cluster = MiniCluster(folder, nodes=1)
    assert cluster.mini("start", "--nodes=1", f"--until-exit-of={owner.pid}").returncode == 0
    owner.kill()
    owner.wait()
    cluster.wait_until(lambda: processes_of(folder) == [], "the cluster has ended")
    assert cluster.mini("status").returncode == 1


def test_missing_packages_are_named(tmp_path):
    # An empty system: nothing but the interpreter.
    script = f"import runpy, shutil, sys; shutil.which = lambda *a, **k: None; sys.argv = ['mini', 'start', '--folder', '{tmp_path}/c']; runpy.run_path('{MINI}', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, env=os.environ)
    assert done.returncode == 1
    assert "missing Debian packages: munge slurmctld slurmd slurm-client" in done.stderr
    assert not (tmp_path / "c").exists()

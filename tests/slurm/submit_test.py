"""launch/submit: the script that it writes, and what becomes of the job when its step ends in all the ways that it can."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from jobs import BINARY, PATIENCE, REPOSITORY, step_metrics, succeed, without_timing

SUBMIT = REPOSITORY / "launch/submit"
ALLOCATION = ("--nodes=4", "--tasks-per-node=1")


def submit(*arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    line = [str(part) for part in (SUBMIT, f"--program={BINARY}", *arguments)]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, env=os.environ | environment)


def script_of(*arguments: object, cwd: Path | None = None) -> str:
    """The script of a dry run, which must be one that bash can read."""
    done = submit(*arguments, "--dry-run", cwd=cwd)
    assert done.returncode == 0, done.stderr
    check = subprocess.run(["bash", "-n"], input=done.stdout, capture_output=True, text=True)
    assert (check.returncode, check.stderr) == (0, "")
    return done.stdout


def refused(*arguments: object, says: str) -> None:
    done = submit(*arguments, "--dry-run")
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr
    assert done.stdout == ""


def directives(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]


def test_a_dry_run_prints_the_script_and_writes_nothing(write_run, tmp_path):
    config, output = write_run()
    before = set(tmp_path.rglob("*"))
    script = script_of(config, *ALLOCATION, "--time=1:00:00", "--partition=low", "--account", "me", "--sbatch=--qos=long", cwd=tmp_path)
    assert directives(script) == [
        '--job-name="run"', "--nodes=4", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=1:00:00", "--partition=low", "--account=me",
        f'--chdir="{tmp_path}"', f'--output="{output}.slurm/%x-%j.log"', "--open-mode=append", "--requeue", "--signal=USR1@120", "--qos=long",
    ]  # fmt: skip
    assert "\nverb='train'\n" in script and "\nnum_ranks='4'\n" in script and "srun --mpi=pmix" in script
    assert set(tmp_path.rglob("*")) == before


def test_options_go_into_the_script(write_run, tmp_path):
    config, _ = write_run()
    (tmp_path / "site file").write_text("export NCCL_SOCKET_IFNAME=ib0\n")
    script = script_of(
        config, "--nodes=2", "--tasks-per-node=2", "--verb=reference", "--set", "objective.loss_type=sigmoid",
        "--set", f"reference.store={tmp_path}/it's.h5", "--cpus-per-task=8", "--gpus-per-node=2", "--job-name=mine", "--lead=300",
        "--log-folder", tmp_path / "100%", "--environment", tmp_path / "site file", "--chain=3",
    )  # fmt: skip
    lines = directives(script)
    assert {'--job-name="mine"', "--cpus-per-task=8", "--gpus-per-node=2", "--signal=USR1@300", "--no-requeue"} <= set(lines)
    assert f'--output="{tmp_path}/100%%/%x-%j.log"' in lines
    assert "verb='reference'" in script and f"environment='{tmp_path}/site file'" in script and "chain='chain-" in script
    assert f"stores[0]='{tmp_path}/it'\\''s.h5'" in script
    assert "\nsettings=('--set' 'objective.loss_type=sigmoid' '--set' 'reference.store=" in script


def test_a_container_runs_the_check_and_the_ranks(write_run, tmp_path):
    # A stand-in for apptainer: it leaves out its own words and the image.
    apptainer = tmp_path / "bin/apptainer"
    apptainer.parent.mkdir()
    apptainer.write_text(f'#!/bin/bash\necho "$@" >>{tmp_path}/calls\nshift 2; exec "$@"\n')
    apptainer.chmod(0o755)
    config, _ = write_run()
    done = submit(config, *ALLOCATION, "--container=a b.sif", "--dry-run", cwd=tmp_path, PATH=f"{apptainer.parent}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert f"command=('apptainer' 'exec' '{tmp_path}/a b.sif' '{BINARY}')" in done.stdout
    assert (tmp_path / "calls").read_text().startswith(f"exec {tmp_path}/a b.sif {BINARY} check {config} --ranks 4")


def test_an_array_has_a_configuration_for_each_index(write_run, tmp_path):
    outputs = {index: write_run(f"beta {index}")[1] for index in (0, 2, 4, 7)}
    script = script_of(tmp_path / "beta %a.yaml", *ALLOCATION, "--array=0-4:2,7%2")
    assert "--array=0-4:2,7%2" in directives(script)
    assert f'--output="{outputs[0]}.slurm/%x-%A_%a.log"' in directives(script)
    assert [line.split()[0] for line in script.splitlines() if line.startswith("outputs[")] == [f"outputs[{i}]='{tmp_path}/beta" for i in outputs]
    for index, folder in outputs.items():
        assert f"outputs[{index}]='{folder}'" in script


def test_what_cannot_run_is_refused_before_it_is_submitted(write_run, tmp_path):
    config, output = write_run()
    refused(config, *ALLOCATION, "--set=parallel.tensor=3", says="parallel.tensor: 3 does not fit 4 ranks")
    refused(config, *ALLOCATION, "--set=batch.sise=3", says="batch.sise")
    refused(config, "--nodes=0", "--tasks-per-node=1", says="--nodes 0: a number above 0 is needed")
    refused(config, "--nodes=2", says="--tasks-per-node")
    refused(config, *ALLOCATION, "--verb=export", says="train or reference")
    refused(config, *ALLOCATION, "--nodse=4", says="unknown option --nodse")
    refused(config, *ALLOCATION, "--array=0-3", says="%a")
    refused(*ALLOCATION, says="which CONFIG?")
    (tmp_path / "same 0.yaml").write_text(config.read_text())
    (tmp_path / "same 1.yaml").write_text(config.read_text())
    refused(tmp_path / "same %a.yaml", *ALLOCATION, "--array=0,1", says=f"share an output folder: {output}")


# Jobs on a cluster. Requeued ones wait for seconds each time, so those with a stand-in are submitted all at once, one a node.

# Checks as the program does. As a rank, it does what the line of its plan says that belongs to this start: exit with a code, with
# or without a checkpoint, or wait for a signal.
STAND_IN = """#!/bin/bash
if [ "$1" = check ]; then exec {binary} "$@"; fi
start=$(grep -c . '{folder}/starts')
echo "start" >>'{folder}/starts'
read -r action code <<<"$(sed -n "$((start + 1))p" '{folder}/plan')"
echo "rank $SLURM_PROCID says $action"
commit() {{ mkdir -p "{output}/checkpoints/step_0000000$start" && touch "{output}/checkpoints/step_0000000$start/manifest.json"; }}
case $action in
  save) commit ;;
  kill) commit; kill -9 $$ ;;
  wait) trap 'commit; exit 75' TERM; touch '{folder}/waits'; for i in {{1..1200}}; do sleep 0.1; done ;;
  deaf) commit; trap '' USR1; trap 'sleep 1' TERM; for i in {{1..1200}}; do sleep 0.1; done ;;
esac
exit $code
"""


class Job:
    """A job of one rank whose starts follow a plan, one line each."""

    def __init__(self, cluster, write_run, tmp_path, name: str, plan: list[str], *options: str):
        self.cluster = cluster
        self.folder = tmp_path / name
        self.folder.mkdir()
        (self.folder / "plan").write_text("\n".join(plan) + "\n")
        (self.folder / "starts").touch()
        config, self.output = write_run(name)
        self.program = self.folder / "program"
        self.program.write_text(STAND_IN.format(binary=BINARY, folder=self.folder, output=self.output))
        self.program.chmod(0o755)
        done = cluster.run(SUBMIT, config, "--nodes=1", "--tasks-per-node=1", f"--program={self.program}", *options)
        assert done.returncode == 0, done.stderr
        self.ids = [line.split()[1] for line in done.stdout.splitlines()]

    def end(self, job: str | None = None) -> str:
        """How the job ended: its state and exit code."""
        record = self.cluster.wait_for_end(job or self.ids[-1])
        return f"{record['JobState']} {record['ExitCode'].split(':')[0]}"

    @property
    def num_starts(self) -> int:
        return len((self.folder / "starts").read_text().splitlines())

    def log(self, job: str | None = None) -> str:
        return Path(f"{self.output}.slurm/{self.folder.name}-{job or self.ids[-1]}.log").read_text()


@pytest.fixture(scope="module")
def jobs(cluster, inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")

    def write(name: str):
        output = folder / f"{name} out"
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps(inputs | {"output": {"directory": str(output)}}))
        return path, output

    def job(name: str, plan: list[str], *options: str) -> Job:
        return Job(cluster, write, folder, name, plan, *options)

    return {
        "twice": job("twice", ["save 75", "save 75", "save 0"]),
        "stuck": job("stuck", ["save 75"] + ["none 75"] * 9),
        "killed": job("killed", ["kill", "save 0"]),
        "cancelled": job("cancelled", ["wait", "save 0"]),
        "timeless": job("timeless", ["deaf", "save 0"], "--time=1"),
        "preempted": job("preempted", ["wait", "save 0"]),
        "handed on": job("handed on", ["wait", "save 0"], "--chain=2"),
        "failed": job("failed", ["save 1"]),
        "interrupted": job("interrupted", ["save 130"]),
        "lost": job("lost", ["none 137"]),
        "chain": job("chain", ["save 75", "kill", "save 0", "save 0"], "--chain=4"),
    }


def test_a_run_on_four_nodes_is_trained_to_its_end(cluster, write_run, tmp_path):
    config, output = write_run("line")
    elsewhere = tmp_path / "a folder"
    elsewhere.mkdir()
    done = cluster.run(SUBMIT, "../line.yaml", *ALLOCATION, "--program", BINARY, "--time=5", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    job = done.stdout.split()[1]
    log = Path(f"{output}.slurm/line-{job}.log")
    assert done.stdout == f"job {job}  log: {log}\n"
    assert cluster.wait_for_end(job)["JobState"] == "COMPLETED", log.read_text()
    assert "4 ranks" in log.read_text() and "step 4/4" in log.read_text()
    other, other_output = write_run("mpirun")
    succeed("train", other, ranks=4)
    assert without_timing(step_metrics(output)) == without_timing(step_metrics(other_output))
    # The log and the script, and nothing that a rank had to say.
    assert sorted(path.name for path in log.parent.iterdir()) == sorted([log.name, "line.sbatch", f"{job}.restarts"])


def test_each_job_of_an_array_runs_its_configuration_in_the_environment_of_the_site(cluster, write_run, tmp_path):
    outputs = {index: write_run(f"sweep {index}", train={"max_steps": index})[1] for index in (1, 2)}
    (tmp_path / "site").write_text("echo the site has its say\n")
    options = (f"--program={BINARY}", "--nodes=1", "--tasks-per-node=2", "--array=1,2", "--environment=site")
    done = cluster.run(SUBMIT, "sweep %a.yaml", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    job = done.stdout.split()[1]
    for index, output in outputs.items():
        cluster.wait_for_end(f"{job}_{index}")
        log = Path(f"{outputs[1]}.slurm/sweep-{job}_{index}.log").read_text()
        assert len(step_metrics(output)) == index, log
        assert "the site has its say" in log


def test_other_ranks_are_heard_when_the_step_fails(cluster, write_run, tmp_path):
    program = tmp_path / "program"
    program.write_text(f'#!/bin/bash\n[ "$1" = check ] && exec {BINARY} "$@"\necho "rank $SLURM_PROCID has $OMP_NUM_THREADS threads"\nexit $SLURM_PROCID\n')
    program.chmod(0o755)
    config, output = write_run()
    done = cluster.run(SUBMIT, config, "--nodes=2", "--tasks-per-node=1", f"--program={program}", "--cpus-per-task=3")
    job = done.stdout.split()[1]
    assert cluster.wait_for_end(job)["ExitCode"] == "1:0"
    folder = Path(f"{output}.slurm")
    log = (folder / f"run-{job}.log").read_text()
    assert "rank 0 has 3 threads" in log and "rank 1 has" not in log and f"run-{job}.ranks" in log
    assert {path.name: path.read_text() for path in (folder / f"run-{job}.ranks").iterdir()} == {"rank-1.log": "rank 1 has 3 threads\n"}


def test_a_job_that_is_cancelled_while_it_saves_does_not_come_back(jobs, cluster):
    job = jobs["cancelled"]
    cluster.wait_until((job.folder / "waits").exists, "the step waits")
    cluster.run("scancel", job.ids[0])
    assert job.end().startswith("CANCELLED")
    time.sleep(2)
    assert cluster.job(job.ids[0])["JobState"] == "CANCELLED"
    assert job.num_starts == 1


def test_a_job_of_a_chain_that_is_cancelled_leaves_the_rest_to_the_next(jobs, cluster):
    job = jobs["handed on"]
    cluster.wait_until((job.folder / "waits").exists, "the step waits")
    cluster.run("scancel", job.ids[0])
    assert job.end(job.ids[0]).startswith("CANCELLED")
    assert job.end() == "COMPLETED 0"
    assert job.num_starts == 2


def test_a_job_that_is_preempted_stops_and_comes_back_by_itself(jobs, cluster):
    job = jobs["preempted"]
    cluster.wait_until((job.folder / "waits").exists, "the step waits")
    node = cluster.job(job.ids[0])["NodeList"]
    high = cluster.submit("--partition=high", f"--nodelist={node}", "--output=/dev/null", "--wrap", "true")
    cluster.wait_for_end(high)
    assert job.end() == "COMPLETED 0"
    assert job.num_starts == 2
    assert "stopped with a checkpoint; back into the queue" in job.log()


def test_a_job_that_its_time_limit_ends_after_a_checkpoint_comes_back(jobs):
    job = jobs["timeless"]
    assert job.end() == "COMPLETED 0"
    assert job.num_starts == 2
    assert "the time limit came before the step's end, but there is a newer checkpoint" in job.log()


def test_failures_and_interrupts_are_not_started_again(jobs):
    for name, code in (("failed", 1), ("interrupted", 130), ("lost", 137)):
        assert jobs[name].end() == f"FAILED {code}", name
        assert jobs[name].num_starts == 1


def test_a_step_that_was_killed_after_a_checkpoint_is_started_again(jobs):
    assert jobs["killed"].end() == "COMPLETED 0"
    assert jobs["killed"].num_starts == 2
    assert "there is a checkpoint; back into the queue" in jobs["killed"].log()


def test_a_job_that_stops_with_75_is_started_again_until_it_is_done(jobs, cluster):
    job = jobs["twice"]
    assert job.end() == "COMPLETED 0"
    assert job.num_starts == 3
    assert cluster.job(job.ids[0])["Restarts"] == "2"
    log = job.log()  # one for all starts
    assert [line.split(" on ")[0].split(": ")[1] for line in log.splitlines() if ": start " in line] == ["start 1", "start 2", "start 3"]
    assert log.count("rank 0 says save") == 3 and "after: step_00000001\n" in log


def test_the_jobs_of_a_chain_go_on_until_it_is_done(jobs):
    job = jobs["chain"]
    assert [job.end(each) for each in job.ids] == ["FAILED 75", "FAILED 75", "COMPLETED 0", "COMPLETED 0"]
    assert job.num_starts == 3
    assert "nothing to do" in job.log(job.ids[3])


def test_three_restarts_in_a_row_without_a_checkpoint_are_the_end(jobs):
    job = jobs["stuck"]
    assert job.end() == "FAILED 1"
    assert job.num_starts == 4
    assert "3 restarts in a row have made no new checkpoint" in job.log()

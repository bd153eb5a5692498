"""A sweep through a real SLURM of one node, started here on ports of its own and ended again."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from conftest import PATIENCE, TINY

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue", "sinfo")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
missing = ", ".join(name for name in NEEDED if shutil.which(name, path=PATH) is None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"missing {missing}: apt-get install slurmctld slurmd slurm-client munge"),
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="slurmd wants root: run the tests as root"
    ),
]

CONF = """
ClusterName=cryobench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=60
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until(what, why: str):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := what():
            return value
        time.sleep(0.2)
    raise AssertionError(why)


@pytest.fixture(scope="module")
def cluster():
    """The environment of a user of the cluster."""
    folder = Path(tempfile.mkdtemp(prefix="cryobench-slurm-"))  # not under pytest's folder, which munge can't enter
    folder.chmod(0o755)
    munge, processes = folder / "munge", []
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir()
    (munge / "key").write_bytes(os.urandom(128))
    (munge / "key").chmod(0o400)
    for path in (munge / "key", munge):
        shutil.chown(path, "munge", "munge")
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(folder=folder, host=host, ports=free_ports(2)))
    environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": PATH}

    def call(*words: str) -> str:
        return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60).stdout.strip()

    log = open(folder / "daemons.log", "w")
    try:
        for words, user in (
            (
                [
                    "munged",
                    "-F",
                    "--key-file",
                    munge / "key",
                    "--socket",
                    munge / "socket",
                    "--pid-file",
                    munge / "pid",
                    "--log-file",
                    munge / "log",
                    "--seed-file",
                    munge / "seed",
                ],
                "munge",
            ),
            (["slurmctld", "-D", "-f", conf], None),
            (["slurmd", "-D", "-f", conf, "-N", host], None),
        ):
            command = [shutil.which(words[0], path=PATH), *map(str, words[1:])]
            processes.append(subprocess.Popen(command, env=environment, user=user, stdout=log, stderr=log))
            if user:
                until((munge / "socket").exists, "munged does not start")
        until(lambda: "idle" in call("sinfo", "-h", "-o", "%t"), "the node does not come up")
        yield environment, call
        call("scancel", "--me")
        until(lambda: not call("squeue", "-h"), "jobs don't end")  # each leaves when its step is done
    finally:
        for one in reversed(processes):
            one.terminate()
        for one in processes:
            try:
                one.wait(20)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def started():
    """Processes that the test starts; those that are left are ended with it, before the cluster is."""
    processes: list[subprocess.Popen] = []
    yield processes
    for one in processes:
        one.kill()
        one.communicate()


def test_a_sweep_on_a_cluster_survives_its_time_limit_and_scancel(cluster, started, cache, tmp_path):
    """The signal that SLURM sends before a job's time is up puts it back into the queue; scancel ends it for good."""
    environment, call = cluster
    words = [
        "+sweep=alpha_beta",
        "row='(1,1)','(0,0)'",
        "noise.snr=0.1",
        *TINY,
        "scale.epochs=80",
        "hydra/launcher=slurm",
        "hydra.launcher.timeout_min=10",
        "hydra.launcher.cpus_per_task=1",
        "trainer.threads=1",
    ]

    def sweep(*more: str) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "cryobench", *words, *more],
                cwd=tmp_path,
                text=True,
                env={**environment, "CRYOBENCH_CACHE": str(cache)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )
        return started[-1]

    refused = sweep("hydra.launcher.partition=nowhere")
    out, _ = refused.communicate(timeout=PATIENCE)
    assert refused.returncode == 2 and "invalid partition" in out and "Traceback" not in out, out

    earlier = set(call("squeue", "-h", "-r", "-t", "all", "-o", "%i").split())  # of another test
    first = sweep()

    def checkpoints() -> dict[Path, float]:
        assert first.poll() is None, first.communicate()[0]
        return {path: path.stat().st_mtime for path in tmp_path.rglob("last.ckpt")}

    def jobs(state: str) -> list[str]:
        return call("squeue", "-h", "-r", "-t", state, "-o", "%i").split()

    def going_on() -> bool:
        for one in jobs("PD"):
            call("scontrol", "update", f"JobId={one}", "StartTime=now")  # SLURM would let it wait for two minutes
        now = checkpoints()
        return all(path not in now or now[path] > time for path, time in left.items())

    until(lambda: len(checkpoints()) == 2, "the jobs don't train")
    running = jobs("R")
    assert len(running) == 2, "jobs go through SLURM"
    for job, sent in zip(running, ("USR2", "TERM"), strict=True):  # as its time limit does, and who wants its place
        call("scancel", f"--signal={sent}", job)
    until(lambda: set(jobs("PD")) == set(running), "a job is not requeued")
    time.sleep(5)  # SLURM lets a requeued job wait since a start in the second of its end fails; so much is enough
    left = checkpoints()
    assert len(left) == 2
    until(going_on, "the jobs don't go on")

    gone, _ = running
    call("scancel", gone)
    out, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 1 and f"ended early: {gone}" in out and out.count("was not finished") == 1, out

    second = sweep()
    out, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0, out
    assert len(set(jobs("all")) - earlier) == 3, "what is done is not submitted again"
    records = [json.loads(p.read_text()) for p in tmp_path.rglob("record.json")]
    assert {r["status"] for r in records} == {"done"}
    assert sorted(r["method"]["resumed"] for r in records) == [1, 2]  # the other job went on while one was cancelled
    assert [len(r["method"]["curve"]) for r in records] == [80, 80]
    table = (tmp_path / "results" / "phantom-smoke" / "tables" / "table1.csv").read_text()
    assert (
        sum("missing" not in line for line in table.splitlines()[1:]) == 2 * 4
    )  # MSE, PSNR, SSIM and NMSE of two rows


def test_a_method_of_ones_own_is_found_by_the_jobs_of_a_cluster(cluster, started, cache, tmp_path):
    """The folder of --config-dir, relative to where one stands, and the module that lies there."""
    environment, _ = cluster
    (tmp_path / "conf" / "method").mkdir(parents=True)
    (tmp_path / "conf" / "method" / "half.yaml").write_text("name: half\n_target_: mine_too.Half\nshare: 0.5\n")
    (tmp_path / "mine_too.py").write_text(
        "from dataclasses import dataclass\nfrom cryobench import Denoiser\n\n\n@dataclass\nclass Half(Denoiser):\n"
        "    share: float = 0.5\n\n    def denoise(self, noisy):\n        return noisy * self.share\n"
    )
    words = [
        "--config-dir",
        "conf",
        "method=half",
        "method.share=0.25,0.5",
        *TINY,
        "hydra/launcher=slurm",
        "hydra.launcher.timeout_min=10",
        "hydra.launcher.cpus_per_task=1",
        "trainer.threads=1",
    ]
    started.append(
        subprocess.Popen(
            [sys.executable, "-m", "cryobench", *words],
            cwd=tmp_path,
            text=True,
            env={**environment, "CRYOBENCH_CACHE": str(cache)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    )
    out, _ = started[-1].communicate(timeout=PATIENCE)
    assert started[-1].returncode == 0, out
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    assert sorted(one["config"]["method"]["share"] for one in records) == [0.25, 0.5]
    assert {one["status"] for one in records} == {"done"}
    assert list((tmp_path / "results").rglob(".submitit/*")), "the jobs did not go through SLURM"

"""This suite and its peers side by side, one run, one thread each, as a Markdown table.

    python bench-peers/bench_peers.py setup          # once: builds the peers' environment
    python bench-peers/bench_peers.py run            # measures everything, or the groups named
    python bench-peers/bench_peers.py run training

Jobs of one setting take turns, round after round, so that a busy minute strikes all of them.
Add an example of ours to `JOBS` to put it beside a peer.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
REPOSITORY = FOLDER.parent
DEFAULT_ENVIRONMENT = REPOSITORY / ".venv-peers"

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "RAYON_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Job:
    """One command of one tool in a setting that several tools share."""

    group: str
    setting: str
    tool: str
    command: tuple
    """`PEER`, a job of peer_jobs.py; `PEER_SCORES`, a setting and a job of peer_scores.py;
    `ECONOMY`, a job of economy_jobs.py and its arguments; or
    `OURS`, a package, an example of it, and its arguments."""


PEER = "peer"
PEER_SCORES = "peer-scores"
ECONOMY = "economy"
OURS = "ours"
THROUGHPUT = (OURS, "attribench-models", "train_throughput")
VALUATION = (OURS, "attribench-methods", "valuation")
NEAREST = (OURS, "attribench-methods", "knn_shapley")
SCORE = (OURS, "attribench-methods", "score_process")
EXPLICIT = (*SCORE, "softmax", "influence-explicit",
            '{"curvature": "hessian", "damping": {"absolute": 0.01}}')

DAMPED = '"damping": {"absolute": 0.01}'
AS_HESSIAN = f'{{"curvature": "hessian", {DAMPED}'


def scored(setting, method, parameters="{}", **peers):
    """Jobs of one method: peers by tool with the names of their jobs, then ours."""
    group = f"scores-{setting}"
    jobs = [Job(group, method, tool, (PEER_SCORES, setting, job)) for tool, job in peers.items()]
    return [*jobs, Job(group, method, "attribench", (*SCORE, setting, method, parameters))]


def scores_of_final_models(setting):
    """What both settings share. Whole processes; training is part of all of them."""
    trak = f'{{"size": 512, {DAMPED}}}'
    return [
        Job(f"scores-{setting}", "train alone", "PyTorch", (PEER_SCORES, setting, "train-alone")),
        *scored(setting, "grad-dot", dattri="dattri-grad-dot", captum="captum-grad-dot",
                kronfluence="kronfluence-identity"),
        *scored(setting, "grad-dot-last-layer", captum="captum-last-layer"),
        *scored(setting, "k-fac", kronfluence="kronfluence-kfac"),
        *scored(setting, "ek-fac", kronfluence="kronfluence-ekfac"),
        *scored(setting, "trak-published", trak, dattri="dattri-trak", traker="traker"),
    ]


SOFTMAX_SCORES = [
    *scores_of_final_models("softmax"),
    *scored("softmax", "influence-cg", AS_HESSIAN + ', "iterations": 10, "on-limit": "accept"}',
            dattri="dattri-cg", pyDVL="pydvl-cg"),
    # As pyDVL's: a batch of the loader's size and a fixed scale.
    *scored("softmax", "lissa",
            AS_HESSIAN + ', "iterations": 20, "batch-size": 500, "scale": 50}',
            pyDVL="pydvl-lissa"),
    *scored("softmax", "arnoldi", AS_HESSIAN + "}", pyDVL="pydvl-arnoldi"),
    *scored("softmax", "nystrom", AS_HESSIAN + ', "rank": 100}', pyDVL="pydvl-nystroem"),
    *scored("softmax", "knn-shapley", dattri="dattri-knn"),
]
MLP_SCORES = [*scores_of_final_models("mlp"),
              *scored("mlp", "trac-in-cp", captum="captum-trac-in-cp")]
TEXT_SCORES = [
    Job("scores-gpt", "train alone", "PyTorch", (PEER_SCORES, "gpt", "train-alone")),
    *scored("gpt", "grad-dot", kronfluence="kronfluence-identity"),
    *scored("gpt", "k-fac", kronfluence="kronfluence-kfac"),
    *scored("gpt", "ek-fac", kronfluence="kronfluence-ekfac"),
]


def economies(count):
    """All simulators of economies with `count` contributors."""
    names = {"radCAD": "radcad", "radCAD without deep copies": "radcad-without-copies",
             "cadCAD": "cadcad", "Mesa": "mesa"}
    setting = f"pro-rata, {int(count):,} contributors"
    peers = [Job("economics", setting, tool, (ECONOMY, name, count))
             for tool, name in names.items()]
    ours = (OURS, "ledger-sim", "accrual", count)
    return [
        *peers,
        Job("economics", setting, "attribench", ours),
        # radCAD and cadCAD keep every step; Mesa and ours keep what they are asked to.
        Job("economics", setting, "attribench, every step kept", (*ours, "history")),
    ]


JOBS = [
    *SOFTMAX_SCORES,
    *MLP_SCORES,
    *TEXT_SCORES,
    # Training. Ours prints several rows (stack widths, subsets), a peer one.
    Job("training", "mlp 784-128-64-10", "PyTorch", (PEER, "train-mlp-784")),
    Job("training", "mlp 784-128-64-10", "attribench", (*THROUGHPUT, "mlp 784")),
    Job("training", "mlp 64-16-10", "PyTorch", (PEER, "train-mlp-64")),
    Job("training", "mlp 64-16-10", "attribench", (*THROUGHPUT, "mlp 64")),
    Job("training", "softmax regression 784-10", "PyTorch", (PEER, "train-softmax")),
    Job("training", "softmax regression 784-10", "attribench", (*THROUGHPUT, "softmax")),
    # Coalitions of 100 digits evaluated a second, accuracy of softmax regression on 500 others.
    Job("valuation", "Banzhaf by MSR, 5,000", "scikit-learn fits alone", (PEER, "sklearn-fits")),
    Job("valuation", "Banzhaf by MSR, 5,000", "pyDVL", (PEER, "pydvl-msr")),
    Job("valuation", "Banzhaf by MSR, 5,000", "attribench", (*VALUATION, "msr")),
    Job("valuation", "permutation Shapley, 5,000", "pyDVL", (PEER, "pydvl-permutation")),
    Job("valuation", "permutation Shapley, 5,000", "attribench", (*VALUATION, "permutation")),
    # Whole processes. The peers' loops take minutes for 1,000 queries, and grow with their number.
    Job("nearest", "KNN-Shapley, 10,000 x 100 x 784", "dattri", (PEER, "dattri-knn")),
    Job("nearest", "KNN-Shapley, 10,000 x 100 x 784", "pyDVL", (PEER, "pydvl-knn")),
    Job("nearest", "KNN-Shapley, 10,000 x 100 x 784", "attribench", (*NEAREST, "100")),
    Job("nearest", "KNN-Shapley, 10,000 x 1,000 x 784", "attribench", (*NEAREST, "1000")),
    # Whole processes: scores of 1,000 x 500 by explicit influence, softmax regression 784 -> 10.
    # The first two say what a peer's process costs before it does anything of interest.
    Job("influence", "import torch", "PyTorch", (PEER, "import-torch")),
    Job("influence", "train alone", "PyTorch", (PEER, "influence-setting")),
    Job("influence", "explicit influence", "dattri", (PEER, "dattri-explicit")),
    Job("influence", "explicit influence", "pyDVL", (PEER, "pydvl-direct")),
    # Ours reads real images where the peers draw numbers; training is part of all three.
    Job("influence", "explicit influence", "attribench", EXPLICIT),
    # Balances that grow by a share of a pot, step after step: floats there, base units here.
    *(job for count in ("10000", "100000", "1000000") for job in economies(count)),
]


def python_of(environment):
    """The interpreter of a virtual environment."""
    path = environment / "bin" / "python"
    if not path.exists():
        sys.exit(f"{path} does not exist\nhint: run `bench_peers.py setup` first")
    return str(path)


def economics_environment(environment):
    """Where the simulators of economies live, beside the other peers."""
    return environment.with_name(f"{environment.name}-economics")


def set_up(environment):
    """Creates the environments and installs the peers, several gigabytes."""
    economics = economics_environment(environment)
    for folder, requirements in [(environment, "requirements.txt"),
                                 (economics, "requirements-economics.txt")]:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [python_of(folder), "-m", "pip", "install", "-r", FOLDER / requirements]
        subprocess.run(install, check=True)


@dataclass
class Measurement:
    """What one process used."""

    cpu_seconds: float
    wall_seconds: float
    peak_megabytes: float
    output: dict


def build(jobs):
    """Programs of our jobs, by package and example, built in one go so that they share libraries.

    They are run without cargo, so that no part of cargo is measured.
    """
    ours = sorted({job.command[1:3] for job in jobs if job.command[0] == OURS})
    command = ["cargo", "build", "--release", "--locked", "--workspace", "--message-format", "json"]
    for _, example in ours:
        command += ["--example", example]
    built = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True)
    messages = map(json.loads, built.stdout.splitlines())
    files = {message["target"]["name"]: message["executable"] for message in messages
             if message["reason"] == "compiler-artifact" and message["executable"]}
    return {(package, example): files[example] for package, example in ours}


def command_of(job, environment, programs):
    """What to execute for a job."""
    if job.command[0] == PEER:
        return [python_of(environment), str(FOLDER / "peer_jobs.py"), *job.command[1:]]
    if job.command[0] == PEER_SCORES:
        return [python_of(environment), str(FOLDER / "peer_scores.py"), *job.command[1:]]
    if job.command[0] == ECONOMY:
        python = python_of(economics_environment(environment))
        return [python, str(FOLDER / "economy_jobs.py"), *job.command[1:]]
    _, package, example, *rest = job.command
    return [programs[package, example], *rest]


def measure(job, command):
    """Runs the command of a job in a process of its own."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=output, stderr=errors, env={**os.environ, **ONE_THREAD}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - start
        if process.returncode != 0:
            errors.seek(0)
            sys.exit(f"{job.tool}, {job.setting}: {command} failed\n{errors.read()}")
        output.seek(0)
        lines = output.read().strip().splitlines()
    cpu = usage.ru_utime + usage.ru_stime
    return Measurement(cpu, wall, usage.ru_maxrss / 1024, json.loads(lines[-1]))


def training_rows(job, measurements):
    """Rows `(tool, stack width, training rows, least ms, median ms)` of one training job."""
    outputs = [measurement.output for measurement in measurements]
    if job.command[0] == PEER:
        least = min(output["least_ms"] for output in outputs)
        return [(job.tool, "-", "all", least,
                 statistics.median(output["median_ms"] for output in outputs))]
    rows = []
    for parts in zip(*(output["steps"] for output in outputs)):
        first = parts[0]
        rows.append((job.tool, first["stack_width"], first["rows"],
                     min(part["least_ms"] for part in parts),
                     statistics.median(part["median_ms"] for part in parts)))
    return rows


def training_table(results):
    """Milliseconds of one step of one model; how many times faster compares the least."""
    yield "| model | tool | stack | rows with weight | least ms | median ms | times faster |"
    yield "|---|---|---|---|---|---|---|"
    peers = {}
    for job, measurements in results:
        for tool, width, rows, least, median in training_rows(job, measurements):
            if job.command[0] == PEER:
                peers[job.setting] = least
            faster = peers[job.setting] / least
            yield (f"| {job.setting} | {tool} | {width} | {rows} | {least:.4f} | {median:.4f} "
                   f"| {faster:.1f} |")


def process_table(results):
    """CPU seconds and memory of whole processes, relative to the first tool of a setting."""
    yield "| setting | tool | CPU-s, median | least | wall s | peak MB | CPU, relative |"
    yield "|---|---|---|---|---|---|---|"
    first = {}
    for job, measurements in results:
        seconds = [measurement.cpu_seconds for measurement in measurements]
        cpu = statistics.median(seconds)
        wall = statistics.median(measurement.wall_seconds for measurement in measurements)
        peak = max(measurement.peak_megabytes for measurement in measurements)
        relative = cpu / first.setdefault(job.setting, cpu)
        yield (f"| {job.setting} | {job.tool} | {cpu:.2f} | {min(seconds):.2f} | {wall:.2f} "
               f"| {peak:.0f} | {relative:.2f} |")


def valuation_table(results):
    """Coalitions a second, the most of all runs; how many times faster compares with pyDVL."""
    yield "| setting | tool | coalitions a second | seconds | times pyDVL |"
    yield "|---|---|---|---|---|"
    most = {}
    for job, measurements in results:
        best = max((run.output for run in measurements), key=lambda o: o["evaluations_per_second"])
        most[job.setting, job.tool] = best
    for (setting, tool), best in most.items():
        rate = best["evaluations_per_second"]
        times = rate / most[setting, "pyDVL"]["evaluations_per_second"]
        yield f"| {setting} | {tool} | {rate:.0f} | {best['seconds']:.2f} | {times:.1f} |"


def economics_table(results):
    """Contributor-updates a second, the most of all runs; what a simulator keeps is in them."""
    yield "| setting | tool | million updates a second | peak MB | times radCAD |"
    yield "|---|---|---|---|---|"
    radcad = {}
    for job, measurements in results:
        rate = max(measurement.output["updates_per_second"] for measurement in measurements)
        peak = max(measurement.peak_megabytes for measurement in measurements)
        times = rate / radcad.setdefault(job.setting, rate)
        yield f"| {job.setting} | {job.tool} | {rate / 1e6:.2f} | {peak:.0f} | {times:.2f} |"


TABLES = {"training": training_table, "valuation": valuation_table, "nearest": process_table,
          "influence": process_table, "economics": economics_table,
          "scores-softmax": process_table, "scores-mlp": process_table,
          "scores-gpt": process_table}


def run(groups, repeats, environment):
    """Measures the groups and prints a table each."""
    # Before anything is timed.
    programs = build([job for job in JOBS if job.group in groups])
    for group in groups:
        jobs = [job for job in JOBS if job.group == group]
        measurements = {job: [] for job in jobs}
        for _ in range(repeats):
            for job in jobs:
                print(f"{job.group}: {job.setting}, {job.tool}", file=sys.stderr)
                command = command_of(job, environment, programs)
                measurements[job].append(measure(job, command))
        print(f"\n## {group}, {repeats} runs, one thread\n")
        for line in TABLES[group](measurements.items()):
            print(line)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--environment", type=Path, default=DEFAULT_ENVIRONMENT,
                        help="folder of the peers' virtual environment")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="create the environment and install the peers")
    measured = commands.add_parser("run", help="measure and print Markdown tables")
    measured.add_argument("groups", nargs="*", help=f"known: {', '.join(TABLES)}; all by default")
    measured.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.command == "setup":
        set_up(arguments.environment)
        return
    unknown = sorted(set(arguments.groups) - set(TABLES))
    if unknown:
        parser.error(f"unknown groups {unknown} (known: {', '.join(TABLES)})")
    run(arguments.groups or list(TABLES), arguments.repeats, arguments.environment)


if __name__ == "__main__":
    main()

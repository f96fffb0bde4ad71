"""What the simulators of economies run, one job a process: `python economy_jobs.py JOB COUNT`.

Each job lets `COUNT` contributors accrue a pot in proportion to their weights, step after step, and
prints contributor-updates a second on its last line. Nothing else is in the model, so that the
number is what a framework leaves of vectorised NumPy, or of one object a contributor.
"""

import json
import sys
import time

import numpy as np

POT = 1_000_007.0


def weights(count):
    """Weights with a heavy tail, as contributions have."""
    drawn = np.random.default_rng(0).exponential(size=count)
    return drawn / drawn.sum()


def accrue(shares):
    """The update of radCAD and cadCAD: a new array of balances a step."""
    return lambda params, substep, history, state, inputs, **_: (
        "balances", state["balances"] + POT * shares)


def rate(count, steps, seconds):
    return {"updates_per_second": count * steps / seconds, "seconds": seconds, "steps": steps}


def radcad(count, deepcopy=True):
    """One state update of vectorised NumPy a step."""
    from radcad import Backend, Engine, Model, Simulation

    steps = max(5, 20_000_000 // count)
    block = {"policies": {}, "variables": {"balances": accrue(weights(count))}}
    model = Model(initial_state={"balances": np.zeros(count)}, state_update_blocks=[block],
                  params={})
    simulation = Simulation(model=model, timesteps=steps, runs=1)
    simulation.engine = Engine(backend=Backend.SINGLE_PROCESS, deepcopy=deepcopy)
    start = time.perf_counter()
    simulation.run()
    return rate(count, steps, time.perf_counter() - start)


def cadcad(count):
    """The same model in cadCAD, which prints a banner and keeps every step."""
    from cadCAD.configuration import Experiment
    from cadCAD.configuration.utils import config_sim
    from cadCAD.engine import ExecutionContext, ExecutionMode, Executor

    steps = max(5, 5_000_000 // count)
    experiment = Experiment()
    experiment.append_model(
        initial_state={"balances": np.zeros(count)},
        partial_state_update_blocks=[
            {"policies": {}, "variables": {"balances": accrue(weights(count))}}],
        sim_configs=config_sim({"N": 1, "T": range(steps)}))
    context = ExecutionContext(ExecutionMode().single_mode)
    start = time.perf_counter()
    Executor(exec_context=context, configs=experiment.configs).execute()
    return rate(count, steps, time.perf_counter() - start)


def mesa(count):
    """One object a contributor."""
    import mesa as library

    class Contributor(library.Agent):
        def __init__(self, model, share):
            super().__init__(model)
            self.share, self.balance = share, 0.0

        def accrue(self):
            self.balance += POT * self.share

    class Economy(library.Model):
        def step(self):
            self.agents.do("accrue")

    steps = max(3, 2_000_000 // count)
    economy = Economy()
    for share in weights(count):
        Contributor(economy, share)
    start = time.perf_counter()
    for _ in range(steps):
        economy.step()
    return rate(count, steps, time.perf_counter() - start)


JOBS = {
    "radcad": radcad,
    "radcad-without-copies": lambda count: radcad(count, deepcopy=False),
    "cadcad": cadcad,
    "mesa": mesa,
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in JOBS:
        sys.exit(f"usage: economy_jobs.py JOB COUNT (known: {', '.join(JOBS)})")
    print(json.dumps(JOBS[sys.argv[1]](int(sys.argv[2]))))


if __name__ == "__main__":
    main()

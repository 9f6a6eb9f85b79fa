"""Train a small network data-parallel over processes, and carry on exactly where the last checkpoint stands.

The decision that makes a resume provable: the data of a step follow from the step's number alone, so a resumed run
computes the very losses that an undisturbed one would, and the loss evaluated right after a restore must equal the
one logged beside the checkpoint. The script reads cardpool's environment and needs nothing else of cardpool.

Environment, beside what cardpool sets: STEPS, STEP_SECONDS (least time for a step), CHECKPOINT_EVERY (steps).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":  # before numpy starts threads of its own: they inherit the mask (see end_on_term)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

State = dict[str, Any]

FEATURES, HIDDEN, WIDTH, BATCH = 32, 8, 128, 256  # the batch is the whole gang's, however it is split
LEARNING_RATE, MOMENTUM = 0.02, 0.9
TEACHER = 2**40  # a seed that is no step
RESOLVE_SECONDS = 120.0
TERMINATED = 143


@dataclass(frozen=True, slots=True)
class Plan:
    """What this process is asked to do."""

    job: str
    rank: int
    world: int
    attempt: int
    coordinator: str
    checkpoints: Path
    resume: Path | None
    steps: int
    step_seconds: float
    every: int

    @classmethod
    def read(cls, env: dict[str, str]) -> Plan:
        """The plan in the environment; KeyError or ValueError name what is missing or wrong."""
        checkpoints = Path(env["CARDPOOL_CHECKPOINT_DIR"])
        resume = env.get("CARDPOOL_RESUME_PATH") or None
        plan = cls(
            job=env.get("CARDPOOL_JOB", "job"),
            rank=int(env.get("JAX_PROCESS_ID", "0")),
            world=int(env.get("JAX_NUM_PROCESSES", "1")),
            attempt=int(env.get("CARDPOOL_ATTEMPT", "0")),
            coordinator=env.get("JAX_COORDINATOR_ADDRESS", ""),
            checkpoints=checkpoints,
            resume=Path(resume) if resume else None,
            steps=int(env.get("STEPS", "200")),
            step_seconds=float(env.get("STEP_SECONDS", "0")),
            every=int(env.get("CHECKPOINT_EVERY", "10")),
        )
        asked = env.get("CARDPOOL_RESUME_STEP")
        if plan.resume is not None and asked and int(asked) != int(plan.resume.name):
            raise ValueError(f"CARDPOOL_RESUME_STEP={asked} is not the step of {plan.resume}")
        if BATCH % plan.world:
            raise ValueError(f"{plan.world} processes do not divide the batch of {BATCH}")
        return plan

    @property
    def loss_file(self) -> Path:
        """The curve of all attempts, beside the folders of the attempts."""
        own = self.checkpoints
        return (own.parent if own.name == str(self.attempt) else own) / "loss.jsonl"


class Journal:
    """JSON lines on standard output, and from rank 0 in the loss file, which all attempts share."""

    def __init__(self, plan: Plan) -> None:
        self._same = {"job": plan.job, "attempt": plan.attempt, "rank": plan.rank}
        self._file: IO[str] | None = None
        if plan.rank == 0:
            plan.loss_file.parent.mkdir(parents=True, exist_ok=True)
            self._file = plan.loss_file.open("a")

    def write(self, event: str, **fields: object) -> None:
        """Write one line with the time; floats in full."""
        line = json.dumps({"event": event, **fields, **self._same, "time": time.time()})
        print(line, flush=True)
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()


def fresh() -> State:
    """The state before step 0, the same in every process."""
    first, second = jax.random.split(jax.random.key(7))
    weights = {
        "hidden": jax.random.normal(first, (FEATURES, WIDTH)) / FEATURES**0.5,
        "out": jax.random.normal(second, (WIDTH, 1)) / WIDTH**0.5,
    }
    return {"weights": weights, "velocity": jax.tree.map(jnp.zeros_like, weights)}


def batch(step: int, rank: int, world: int) -> tuple[np.ndarray, np.ndarray]:
    """This rank's rows of the step's batch; what is to be learned is a fixed network of another shape."""
    teacher = np.random.default_rng(TEACHER)
    first = teacher.standard_normal((FEATURES, HIDDEN), dtype=np.float32) / np.float32(FEATURES**0.5)
    second = teacher.standard_normal((HIDDEN, 1), dtype=np.float32)
    inputs = np.random.default_rng(step).standard_normal((BATCH, FEATURES), dtype=np.float32)
    rows = slice(rank * BATCH // world, (rank + 1) * BATCH // world)
    return inputs[rows], (np.tanh(2 * inputs @ first) @ second)[rows]


def loss_of(weights: dict[str, jax.Array], inputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean squared error over the whole gang's batch."""
    predicted = jnp.tanh(inputs @ weights["hidden"]) @ weights["out"]
    return jnp.mean((predicted - targets) ** 2)


def update(state: State, inputs: jax.Array, targets: jax.Array) -> tuple[State, jax.Array]:
    """One step of gradient descent with momentum; the gradient is summed over all processes by the compiler."""
    loss, gradient = jax.value_and_grad(loss_of)(state["weights"], inputs, targets)
    velocity = jax.tree.map(lambda old, new: MOMENTUM * old + new, state["velocity"], gradient)
    weights = jax.tree.map(lambda old, change: old - LEARNING_RATE * change, state["weights"], velocity)
    return {"weights": weights, "velocity": velocity}, loss


class Trainer:
    """The compiled step over the gang's mesh, and its checkpoints."""

    def __init__(self, plan: Plan) -> None:
        mesh = Mesh(np.array(jax.devices()), ("data",))
        self._plan = plan
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        self._split = NamedSharding(mesh, PartitionSpec("data"))
        self._update = jax.jit(update, out_shardings=self._everywhere)
        self._loss = jax.jit(lambda state, *data: loss_of(state["weights"], *data), out_shardings=self._everywhere)
        self.state: State = jax.jit(fresh, out_shardings=self._everywhere)()

    def step(self, number: int) -> float:
        """Take the step and return the loss before it."""
        self.state, loss = self._update(self.state, *self._data(number))
        return float(loss)

    def loss(self, number: int) -> float:
        """The loss of the present state on that step's data."""
        return float(self._loss(self.state, *self._data(number)))

    def restore(self, checkpoint: Path) -> None:
        """Replace the state by a checkpoint's."""
        shape = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._everywhere), self.state)
        with ocp.CheckpointManager(checkpoint.parent, options=ocp.CheckpointManagerOptions(read_only=True)) as manager:
            self.state = manager.restore(int(checkpoint.name), args=ocp.args.StandardRestore(shape))

    def _data(self, number: int) -> tuple[jax.Array, ...]:
        local = batch(number, self._plan.rank, self._plan.world)
        return tuple(jax.make_array_from_process_local_data(self._split, part) for part in local)


def train(plan: Plan) -> None:
    """Run the plan to its last step."""
    journal = Journal(plan)
    trainer = Trainer(plan)
    first = 0
    if plan.resume is not None:
        trainer.restore(plan.resume)
        first = int(plan.resume.name) + 1
        journal.write("restored", step=first - 1, loss=trainer.loss(first - 1), path=str(plan.resume))
    else:
        journal.write("fresh", step=0)
    with ocp.CheckpointManager(plan.checkpoints, options=ocp.CheckpointManagerOptions(create=True)) as manager:
        for number in range(first, plan.steps):
            begin = time.monotonic()
            journal.write("step", step=number, loss=trainer.step(number))
            if (number + 1) % plan.every == 0 or number + 1 == plan.steps:
                if number in manager.all_steps():  # left by a run that could not be resumed from
                    manager.delete(number)
                manager.save(number, args=ocp.args.StandardSave(trainer.state), force=True)
                manager.wait_until_finished()
                journal.write("checkpoint", step=number, loss=trainer.loss(number))
            time.sleep(max(0.0, plan.step_seconds - (time.monotonic() - begin)))
    journal.write("done", step=plan.steps - 1)


def end_on_term() -> None:
    """Leave at once on SIGTERM, even while a collective waits for a peer that is gone.

    The signal is blocked in every thread and awaited in one: a handler would run only when the main thread returns
    from native code, and the first process of a container has no default action for it.
    """

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        os._exit(TERMINATED)

    threading.Thread(target=wait, daemon=True).start()


def await_name(address: str) -> None:
    """Wait until the coordinator's host name resolves; OSError after two minutes."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + RESOLVE_SECONDS
    while True:
        try:
            socket.getaddrinfo(host, int(port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def main() -> int:
    """Join the gang and train."""
    end_on_term()
    plan = Plan.read(dict(os.environ))
    if plan.world > 1:
        await_name(plan.coordinator)
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(plan.coordinator, plan.world, plan.rank)
    train(plan)
    return 0


if __name__ == "__main__":
    sys.exit(main())

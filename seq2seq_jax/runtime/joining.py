"""How a process joins the others of its run: by flags or the environment."""

import atexit
import os
import threading
from typing import Any

from seq2seq_jax import types
from seq2seq_jax.runtime import ending, processes, rendezvous

HEARTBEAT_SECONDS = 120  # JAX's own, which aborts; ours is first

COORDINATOR = "SEQ2SEQ_JAX_COORDINATOR"  # of the environment
COUNT = "SEQ2SEQ_JAX_PROCESSES"
INDEX = "SEQ2SEQ_JAX_PROCESS"


def join(
  coordinator: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> None:
  """Joins the processes of one run, if flags or the environment name them.

  Args:
    coordinator: HOST:PORT, `auto` on TPU pods, SLURM and other clusters that
      JAX detects, or None for the environment's.
    processes: how many there are, or None for the environment's.
    process: this one's index, or None for the environment's.

  Raises:
    types.UserError: a number is missing or the others cannot be reached.
  """
  coordinator = coordinator or os.environ.get(COORDINATOR, "")
  if not coordinator:
    if processes is not None or process is not None:
      raise types.UserError(
        "--processes and --process-id need --coordinator HOST:PORT"
      )
    return
  if coordinator == "auto":
    _initialize(coordinator)
    return
  number = _environment(COUNT) if processes is None else processes
  own = _environment(INDEX) if process is None else process
  if number is None or own is None or not 0 <= own < number:
    raise types.UserError(
      f"coordinator {coordinator}: needs the number of processes (--processes "
      f"or {COUNT}, is {number}) and this one's index from 0 (--process-id or "
      f"{INDEX}, is {own})"
    )
  rendezvous.meet(coordinator, number, own)
  _initialize(coordinator, coordinator, number, own)


def _environment(name: str) -> int | None:
  """A number of the environment; None if it is not set."""
  text = os.environ.get(name)
  if not text:
    return None
  if not (text.isascii() and text.isdigit() and len(text) < 10):
    raise types.UserError(f"{name}={text[:40]}: is not a number of processes")
  return int(text)


def _initialize(
  name: str,
  address: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> None:
  """Lets JAX join the processes, and begins to watch them."""
  import jax
  from jaxlib import _jax

  def start_service(
    address: str, processes: int, **_: Any
  ) -> rendezvous.Service:
    return rendezvous.Service(address, processes, HEARTBEAT_SECONDS)

  # Its handler of SIGTERM would make a step to stop at of every single step.
  jax.config.update("jax_enable_preemption_service", False)
  in_process = _jax.get_distributed_runtime_service
  _jax.get_distributed_runtime_service = start_service
  try:
    jax.distributed.initialize(
      address,
      processes,
      process,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=3600,
    )
  except (ValueError, RuntimeError) as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"coordinator {name}: could not join the other processes: {line}; see "
      "--coordinator, --processes and --process-id"
    ) from e
  finally:
    _jax.get_distributed_runtime_service = in_process
  _watch_group()


def _watch_group() -> None:
  from jax._src import distributed

  state = distributed.global_state
  if state.num_processes == 1 or state.client is None:
    return
  group = processes.form(state.client, state.process_id, state.num_processes)
  threading.Thread(target=ending.watch, args=(group,), daemon=True).start()
  atexit.register(group.leaving.set)

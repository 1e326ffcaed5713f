"""The processes of a training, as torchrun starts them. Each trains on its own crops; all have the same weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Processes:
    """The processes of a training, seen from one of them. This base class is a single process (rank 0 of 1)."""

    rank, count = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap the model so that its backward pass averages the gradients over all processes."""
        return model

    def largest(self, number: float) -> float:
        """The largest of all processes' numbers. A collective call: it blocks until every process makes it."""
        return number

    def union(self, numbers: set[int]) -> set[int]:
        """The union of all processes' sets. A collective call, like `largest`."""
        return numbers


class DistributedProcesses(Processes):
    """Several processes, seen from one of them (torch.distributed)."""

    def __init__(self, device: torch.device, rank: int, count: int) -> None:
        super().__init__(device)
        self.rank, self.count = rank, count

    def wrap(self, model: nn.Module) -> nn.Module:
        return DistributedDataParallel(model)

    def largest(self, number: float) -> float:
        found = torch.tensor(number, dtype=torch.float64)  # on the CPU, to avoid a synchronisation with the GPU
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return float(found)

    def union(self, numbers: set[int]) -> set[int]:
        gathered: list[set[int]] = [set()] * self.count
        dist.all_gather_object(gathered, numbers)
        return set().union(*gathered)


@contextmanager
def join_processes(device: torch.device) -> Iterator[Processes]:
    """Join the process group that torchrun's environment variables describe. Without them there is a single process.

    On CUDA, each process uses the GPU of its local rank.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield DistributedProcesses(device, dist.get_rank(), count)
        dist.barrier()  # a process that exits while another one still communicates with it can abort
    finally:
        dist.destroy_process_group()

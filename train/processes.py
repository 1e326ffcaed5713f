"""The processes that train together, as torchrun starts them: each with its own crops, all with the same weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


class Alone:
    """One process. The first, and last, of its kind."""

    rank, count = 0, 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model whose backward pass averages gradients over the processes."""
        return model

    def largest(self, number: float) -> float:
        """The largest of all processes' numbers. All have to ask."""
        return number

    def union(self, numbers: set[int]) -> set[int]:
        """The numbers of all processes. All have to ask."""
        return numbers


class Together(Alone):
    """One of several."""

    def __init__(self, device: torch.device, rank: int, count: int) -> None:
        super().__init__(device)
        self.rank, self.count = rank, count

    def wrap(self, model: nn.Module) -> nn.Module:
        return DistributedDataParallel(model)

    def largest(self, number: float) -> float:
        found = torch.tensor(number, dtype=torch.float64)  # on the CPU, so that the GPU does not wait
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return float(found)

    def union(self, numbers: set[int]) -> set[int]:
        everyones: list[set[int]] = [set()] * self.count
        dist.all_gather_object(everyones, numbers)
        return set().union(*everyones)


@contextmanager
def joined(device: torch.device) -> Iterator[Alone]:
    """The processes that torchrun's environment names; alone without it. On CUDA each takes the GPU of its local rank."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Alone(device)
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Together(device, dist.get_rank(), count)
        dist.barrier()  # one that leaves while another still talks to it may abort
    finally:
        dist.destroy_process_group()

"""A body: the parameters of a network that several styles share."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from livestyle.frame import FloatArray
from livestyle.networks.architecture import Architecture


@dataclass(frozen=True, eq=False)
class Body:
    """The weights and biases of a network's convolutions.

    Immutable, so that engines can cache what they build from it. Two bodies are equal if all values are equal.
    """

    architecture: Architecture
    parameters: dict[str, FloatArray]
    """Weights and biases: name -> values in fp32, with the names and shapes of `Architecture.parameters`."""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Body):
            return NotImplemented
        mine, others = self.parameters, other.parameters
        same_kind = self.architecture == other.architecture and mine.keys() == others.keys()
        return same_kind and all(np.array_equal(value, others[name]) for name, value in mine.items())

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Hash of all values. Cached, as engines look up the body for every frame.

        Adding 0 turns -0 into 0: the two are equal, but their bytes differ.
        """
        return hash((self.architecture.name, *((self.parameters[name] + 0.0).tobytes() for name in sorted(self.parameters))))

    def __repr__(self) -> str:
        return f"Body({self.architecture.name!r}, {sum(value.size for value in self.parameters.values())} parameters)"

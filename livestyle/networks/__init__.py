"""The transformer networks and the backends that run them. To add a network, define it in a file and list it here."""

from livestyle.networks.full import FULL
from livestyle.networks.lite import LITE

# the command line lists its choices from this: nothing imported here may import NumPy or PyTorch
ARCHITECTURES = {architecture.name: architecture for architecture in (FULL, LITE)}

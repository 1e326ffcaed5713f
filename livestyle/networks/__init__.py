"""The transformer networks and the backends that run them. To add a network, define it in a module and list it here."""

from livestyle.networks.full import FULL
from livestyle.networks.lite import LITE

# the command line lists these choices in its help: nothing imported here may import NumPy or PyTorch, which take long
ARCHITECTURES = {architecture.name: architecture for architecture in (FULL, LITE)}

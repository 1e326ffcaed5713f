"""The transformer networks. To add one, add its file and its name to ARCHITECTURES."""

from livestyle.networks.full import FULL
from livestyle.networks.lite import LITE

ARCHITECTURES = {architecture.name: architecture for architecture in (FULL, LITE)}

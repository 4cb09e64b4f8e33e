"""The blocks of a timm network: what stands in its lists of layers and is made of layers itself."""

from __future__ import annotations

from torch import nn

LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """Find the blocks of a network, by how it is built: residual blocks, transformer layers, dense layers.

    A block is a member of a list that has several layers itself and holds no list of such members: of ``blocks.2.1``
    the inner one. Networks that name their layers one by one have none.

    Args:
        network: The network without its classifier.

    Returns:
        The blocks in the order of the network.
    """
    found: list[nn.Module] = []
    for child in network.children():
        within = repeated_blocks(child)
        if not within and isinstance(network, LISTS) and not isinstance(child, LISTS) and _layers(child) > 1:
            within = [child]
        found += within
    return found


def _layers(block: nn.Module) -> int:
    """Count the parts that have parameters of their own."""
    return sum(any(True for _ in part.parameters(recurse=False)) for part in block.modules())

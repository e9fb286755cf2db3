"""How large a network is: parameters, and multiply-adds for one image. Used in reports, by `describe` and in tests."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bananas_trainer.networks.building import Network


@dataclass(frozen=True)
class Size:
    """Size of a network. The auxiliary head is counted apart: it is used in training only."""

    parameters: int
    auxiliary_parameters: int
    multiply_adds: int


def measure(network: Network, image_shape: tuple[int, int, int]) -> Size:
    """Counts a network; image_shape is (channels, H, W). Multiply-adds are those of convolutions and linear layers.

    It runs the network on one image: torch's `meta` device would need none, but takes 4 s to import.
    """
    auxiliary = sum(p.numel() for name, p in network.named_parameters() if name.startswith("auxiliary_head."))
    everything = sum(p.numel() for p in network.parameters())
    return Size(everything - auxiliary, auxiliary, _multiply_adds(network, image_shape))


def _multiply_adds(network: Network, image_shape: tuple[int, int, int]) -> int:
    total = 0

    def count(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        match module:
            case nn.Conv2d():
                per_value = module.weight[0].numel()  # input channels of the group times kernel
            case nn.Linear():
                per_value = module.in_features
            case _:
                return
        total += output[0].numel() * per_value

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    trained = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, *image_shape, device=next(network.parameters()).device))
    finally:
        network.train(trained)
        for hook in hooks:
            hook.remove()
    return total


def training_memory(network: Network, image_shape: tuple[int, int, int], batch: int) -> int:
    """Bytes that a training step of a batch needs, about: weights, gradients, momentum, and what backward keeps.

    Measured on a batch of two images on the CPU in single precision; the workspace of the convolutions is not in it.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}  # batch norms take note of images
    trained = network.training
    network.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = network(torch.zeros(2, *image_shape))
    activations = sum(size for pointer, size in kept.items() if pointer not in own)
    del out
    network.load_state_dict(state)
    network.train(trained)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    return 3 * weights + activations * batch // 2

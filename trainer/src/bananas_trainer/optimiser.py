"""Stochastic gradient descent with momentum and weight decay, equal to `torch.optim.SGD` (a test compares them).

Our own because making a `torch.optim.SGD` loads torch's compiler: 3 s at the start of every trial.
"""

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

_SMALL: Final = 1e-6  # as in torch.nn.utils.clip_grad_norm_


class Sgd:
    """Momentum and weight decay are fixed; the learning rate and the largest gradient norm come with each step."""

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]], momentum: float, weight_decay: float) -> None:
        self._parameters = dict(parameters)
        self._momentum = momentum
        self._weight_decay = weight_decay
        self.buffers: dict[str, Tensor] = {name: torch.zeros_like(p) for name, p in self._parameters.items()}

    @torch.no_grad()
    def step(self, learning_rate: float, gradient_clip: float) -> None:
        """One step along the gradients, which are then forgotten."""
        used = [(name, p, p.grad) for name, p in self._parameters.items() if p.grad is not None]
        parameters: list[Tensor] = [p for _, p, _ in used]
        gradients = [gradient for _, _, gradient in used]
        buffers = [self.buffers[name] for name, _, _ in used]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (gradient_clip / (norm + _SMALL)).clamp(max=1.0))
        torch._foreach_add_(gradients, parameters, alpha=self._weight_decay)
        torch._foreach_mul_(buffers, self._momentum)
        torch._foreach_add_(buffers, gradients)
        torch._foreach_add_(parameters, buffers, alpha=-learning_rate)
        for p in parameters:
            p.grad = None

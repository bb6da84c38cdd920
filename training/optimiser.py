"""Muon for the matrices inside the layers, AdamW for everything else, one learning-rate schedule for both.

Muon (momentum, then the nearest orthogonal matrix by a Newton-Schulz iteration) needs about half the steps of
AdamW here; its updates are scaled to AdamW's usual size, so that one learning rate serves both.
"""

import math

import torch


def orthogonalise(g, steps=5):
    """Newton-Schulz on a stack of matrices [n, rows, cols]: singular values go to about 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = g.shape[1] > g.shape[2]
    x = g.transpose(1, 2) if tall else g
    x = (x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)).bfloat16()
    for _ in range(steps):
        s = x @ x.transpose(1, 2)
        x = a * x + (b * s + c * s @ s) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    def share(self):
        """Puts the momenta into shared memory: two processes then update a part of the matrices each (`twin.py`)."""
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].setdefault("buffer", torch.zeros_like(p)).share_memory_()

    @torch.no_grad()
    def step(self, part=None):
        """Updates all matrices, or one of two parts: 0 is the smaller one, for the process that has more to do besides."""
        for group in self.param_groups:
            stacks = {}
            for p in group["params"]:
                if p.grad is not None:
                    stacks.setdefault(p.shape, []).append(p)
            for shape, params in stacks.items():
                cut = len(params) * 3 // 7
                params = params if part is None else params[:cut] if part == 0 else params[cut:]
                if not params:
                    continue
                for p in params:
                    state = self.state[p]
                    if "buffer" not in state:
                        state["buffer"] = torch.zeros_like(p)
                    state["buffer"].mul_(group["momentum"]).add_(p.grad)
                update = torch.stack([p.grad + group["momentum"] * self.state[p]["buffer"] for p in params])
                update = orthogonalise(update) * (0.2 * math.sqrt(max(shape)))
                for p, u in zip(params, update):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(u, alpha=-group["lr"])


def make(modules, lr, weight_decay=0.02, slow=lambda name: False):
    """Optimisers for the trainable parameters of {prefix: module}; those that are `slow(name)` learn at a tenth of the rate."""
    matrices, rest = [], {1.0: [], 0.1: []}
    for prefix, module in modules.items():
        for name, p in module.named_parameters():
            full = prefix + "." + name
            inner = p.ndim == 2 and "layers." in full
            (matrices if inner else rest[0.1 if slow(full) else 1.0]).append(p)
    groups = [{"params": params, "scale": scale} for scale, params in rest.items() if params]
    return [Muon(matrices, lr, weight_decay=weight_decay), torch.optim.AdamW(groups, lr, betas=(0.9, 0.98), weight_decay=0.0)]


FLAT = 0.6  # of a stage: the rate stays, so that a longer budget continues the same run; then it comes down


def schedule(share, flat=FLAT, floor=0.01):
    """Factor on the learning rate after this share of a stage: flat, then a straight line down to `floor`."""
    return 1.0 if share < flat else max(floor, (1 - share) / (1 - flat))


def set_rate(opts, lr):
    for opt in opts:
        for group in opt.param_groups:
            group["lr"] = lr * group.get("scale", 1.0)

"""CLIP ViT-L/14-336 without its last layer in PyTorch, random weights: what `mqt bench` encodes.

    python tower.py THREADS f32|bf16        prints the median of five runs in milliseconds
"""

import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

WIDTH, MLP, HEADS, LAYERS, SIZE, PATCH = 1024, 4096, 16, 23, 336, 14


class Layer(nn.Module):
    """Norm before each half; attention in one fused call."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, MLP), nn.Linear(MLP, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.shape[0]
        heads = self.qkv(self.norm1(x)).view(tokens, 3, HEADS, -1).permute(1, 2, 0, 3)
        mixed = functional.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        x = x + self.out(mixed.transpose(0, 1).reshape(tokens, WIDTH))
        wide = self.fc1(self.norm2(x))
        return x + self.fc2(wide * torch.sigmoid(1.702 * wide))


class Tower(nn.Module):
    """Pixels [1, 3, 336, 336] to features [577, 1024]."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        patches = (SIZE // PATCH) ** 2
        self.first = nn.Parameter(torch.zeros(1, WIDTH))
        self.position = nn.Parameter(torch.zeros(patches + 1, WIDTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = self.patch(pixels).flatten(2)[0].T
        x = self.norm(torch.cat([self.first, x]) + self.position)
        for layer in self.layers:
            x = layer(x)
        return x


def main() -> None:
    threads, name = int(sys.argv[1]), sys.argv[2]
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[name]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    with torch.inference_mode():
        tower, pixels = Tower().to(kind), torch.randn(1, 3, SIZE, SIZE, dtype=kind)
        tower(pixels)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            tower(pixels)
            times.append(1e3 * (time.perf_counter() - start))
    print(statistics.median(times))


if __name__ == "__main__":
    main()

"""Calibration: what the inputs of each matrix look like on a text, and rounding that makes up for its errors (GPTQ)."""
from pathlib import Path

import numpy as np

from ours import rounded

F = np.float32
GROUP = {"q": "qkv", "k": "qkv", "v": "qkv", "o": "o", "gate": "gate_up", "up": "gate_up", "down": "down"}


def texts(decoder, path=Path(__file__).parent / "texts" / "calibration.txt", window=256):
    """The calibration text in windows of this many tokens."""
    ids = decoder.tokenizer.encode(path.read_text())
    return [ids[i : i + window] for i in range(0, len(ids), window)]


def second_moments(decoder, windows):
    """Mean x xᵀ of each matrix's inputs, by (layer, group)."""
    sums, n = {}, sum(map(len, windows))

    def watch(layer, group, x):
        sums[layer, group] = sums.get((layer, group), 0) + x.T @ x

    for ids in windows:
        decoder.logits(ids, watch=watch)
    return {key: value / n for key, value in sums.items()}


def upper(moment, damp):
    """The upper Cholesky factor of the damped moment's inverse: row j tells how columns after j make up for an error in j."""
    h = moment.astype(np.float64)
    h = h + np.eye(len(h)) * damp * np.trace(h) / len(h)
    flip = h[::-1, ::-1]
    # inv(h) = Uᵀ U with U upper; from the Cholesky factor of the reversed matrix, without an explicit inverse of h.
    low = np.linalg.cholesky(flip)
    return np.linalg.inv(low)[::-1, ::-1].astype(F)


def compensated(fmt, matrix, moment, damp=0.1, window=None):
    """Column by column: what rounding a column does wrong, the columns after it put right as far as they can; within `window`
    columns, if given."""
    if window:
        cuts = range(0, matrix.shape[1], window)
        return np.hstack([compensated(fmt, matrix[:, c : c + window], moment[c : c + window, c : c + window], damp) for c in cuts])
    w = matrix.copy()
    out = np.empty_like(w)
    u = upper(moment, damp)
    conditional = 1 / np.diag(u) ** 2
    for start in range(0, w.shape[1], fmt.block):
        end = start + fmt.block
        weights = np.broadcast_to((conditional[start:end] / conditional[start:end].mean()).astype(F), (len(w), fmt.block))
        params = fmt.fit(np.ascontiguousarray(w[:, start:end]), weights)
        errors = np.empty((len(w), fmt.block), F)
        for j in range(start, end):
            column = w[:, j : j + 1]
            q = fmt.near(column, params)
            out[:, j : j + 1] = q
            errors[:, j - start : j - start + 1] = (column - q) / u[j, j]
            w[:, j + 1 : end] -= errors[:, j - start : j - start + 1] * u[j, j + 1 : end]
        w[:, end:] -= errors @ u[start:end, end:]
    return out


def from_weights(decoder):
    """A guess at each input's mean square from the weights alone, by (layer, group): independent values go in, squares add up.

    It finds the few channels of the residual stream that are hundreds of times as strong as the rest, which is what matters.
    """
    out, square = {}, lambda w: w.astype(np.float64) ** 2
    stream = square(decoder.embedding).mean(axis=0)
    for i in range(decoder.layers):
        w = {role: decoder.weights[i, role] for role in GROUP}
        x = stream / stream.mean() * square(decoder.norms[i][0])
        heads = (square(w["v"]) @ x).reshape(decoder.kv_heads, -1)
        o = np.repeat(heads, decoder.heads // decoder.kv_heads, axis=0).reshape(-1)
        stream = stream + square(w["o"]) @ o
        y = stream / stream.mean() * square(decoder.norms[i][1])
        # The square of silu is between a quarter and a half of its argument's.
        down = (square(w["gate"]) @ y) * (square(w["up"]) @ y) / 2
        stream = stream + square(w["down"]) @ down
        out |= {(i, "qkv"): x, (i, "o"): o, (i, "gate_up"): y, (i, "down"): down}
    return out


def scaled(fmt, matrix, importance, alpha):
    """AWQ: columns times importance^(alpha / 2) before rounding, which the norm before the matrix would take back."""
    s = np.maximum((importance / importance.mean()) ** (alpha / 2), 0.05).astype(F)
    return rounded(fmt, matrix * s, importance / s**2) / s


def in_order(fmt, matrix, importance, deal=False):
    """Columns sorted by importance, so that a block holds columns that matter alike; or dealt out, so that none holds many that do."""
    order, out = np.argsort(importance), np.empty_like(matrix)
    if deal:
        order = order.reshape(fmt.block, -1).T.reshape(-1)
    out[:, order] = rounded(fmt, np.ascontiguousarray(matrix[:, order]), importance[order])
    return out


def by_size(fmt, matrix, importance):
    """Importance times the root of the value's square and twice the matrix's mean square: llama.cpp's way with an importance matrix."""
    x = matrix.reshape(-1, fmt.block)
    w = np.tile((importance / importance.mean()).astype(F).reshape(-1, fmt.block), (len(matrix), 1)) * np.sqrt(2 * np.mean(x * x) + x * x)
    return fmt.near(x, fmt.fit(x, w / w.mean())).reshape(matrix.shape)

"""python -m unittest, in this folder; needs no download."""
import tempfile
import unittest
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

import llama
import packs
from calibrate import compensated, upper
from ours import Q4, Q5, Q8, ScaleAndZero, byte_float, rounded


def random(rows, cols, seed=1):
    return np.random.default_rng(seed).standard_t(5, (rows, cols)).astype(np.float32)


class Formats(unittest.TestCase):
    def test_more_bits_lose_less_and_importance_helps_what_is_important(self):
        x = random(64, 576)
        errors = [np.square(rounded(fmt, x) - x).mean() for fmt in (Q4, Q5, Q8)]
        self.assertTrue(errors[0] > 3 * errors[1] > 9 * errors[2])
        importance = np.where(np.arange(576) % 32 == 5, 100.0, 1.0)
        plain, weighted = (np.square(rounded(Q4, x, i) - x)[:, 5::32].mean() for i in (None, importance))
        self.assertLess(weighted, plain / 2)

    def test_blocks_of_zeros_of_one_value_and_far_from_zero_survive(self):
        for fmt in (Q4, Q5, ScaleAndZero(8)):
            self.assertTrue((rounded(fmt, np.zeros((2, 32), np.float32)) == 0).all())
            for value in (0.5, -3.0):
                np.testing.assert_allclose(rounded(fmt, np.full((1, 32), value, np.float32)), value, rtol=0.04)
            far = np.linspace(1, 1.1, 32, dtype=np.float32)[None]
            np.testing.assert_allclose(rounded(fmt, far), far, rtol=0.05)

    def test_files_for_the_program_hold_what_they_were_given(self):
        given = {"a": random(3, 5), "b.importance": np.arange(5.0)}
        with tempfile.TemporaryDirectory() as folder:
            packs.save(Path(folder) / "x", given)
            read = packs.load(Path(folder) / "x")
        for name, values in given.items():
            np.testing.assert_array_equal(read[name], values.astype(np.float32))

    def test_a_byte_holds_a_scale_to_a_sixteenth(self):
        x = np.exp2(np.linspace(-23.9, 5.8, 1000)).astype(np.float32)
        self.assertLess(np.abs(byte_float(x) / x - 1).max(), 1 / 16 + 1e-3)
        self.assertEqual(len(np.unique(byte_float(np.exp2(np.linspace(-24, 7, 10000))))), 240)

    def test_what_llama_cpp_packs_is_read_back_as_close_as_its_bits_say(self):
        x = random(16, 1536)
        limits = {T.Q4_K: 0.09, T.Q5_K: 0.045, T.Q6_K: 0.025, T.IQ4_NL: 0.1, T.IQ4_XS: 0.1, T.Q4_0: 0.13}
        for type, limit in limits.items():
            y, bits = llama.through(x, type)
            self.assertLess(np.linalg.norm(x - y) / np.linalg.norm(x), limit, type)
            block, size = gguf.GGML_QUANT_SIZES[type]
            self.assertEqual(bits, x.size // block * size * 8)
        self.assertEqual(llama.through(random(4, 576), T.Q4_K)[1], 4 * 576 * 5.5)

    def test_making_up_for_errors_lowers_the_error_of_products(self):
        inputs = random(512, 64, 2) @ random(64, 64, 3)
        moment = inputs.T @ inputs / 512
        u = upper(moment, 0.1).astype(np.float64)
        damped = moment + np.eye(64) * 0.1 * np.trace(moment) / 64
        np.testing.assert_allclose(u.T @ u @ damped, np.eye(64), atol=1e-3)
        w = random(32, 64, 4)
        plain, made_up = (np.linalg.norm(inputs @ (v - w).T) for v in (rounded(Q4, w, np.diag(moment)), compensated(Q4, w, moment)))
        self.assertLess(made_up, 0.9 * plain)


if __name__ == "__main__":
    unittest.main()

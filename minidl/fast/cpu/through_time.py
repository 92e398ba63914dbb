"""A recurrent layer over all time steps on the CPU: few NumPy calls a step, which write where the numbers stay.

In a row (4 H,) of from_input the gates of a sample lie side by side, so that NumPy walks through one gate of all
samples in N short runs. Here each gate of a step is a block (N, H) of its own, in (T, 4, N, H) for all steps: what is
done to a gate is done in place, in one run, and all sigmoids are one call. BLAS is faster too: four products
(32, 128) @ (128, 128) took 42 us, and one with (128, 512) took 54.

The gradient of a gate is dL/dh_t or dL/dc_t times numbers that the forward knows. For z, of which i = sigmoid(z) in

    c_t = f c_{t-1} + i g        dL/dz = dL/dc_t g i (1 - i)

These factors are computed for a block of time steps at once, as many as fit the cache. Left to the loop are a
multiplication by each of them, what the steps hand to one another, and the product with W_hh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from minidl.fast import through_time
from minidl.fast.cpu import threads
from minidl.fast.cpu.products import WORTH, product
from minidl.fast.cpu.sums import add_up
from minidl.fast.versions import Faster
from minidl.types import Array, Gradients

WORKED_ON = 16  # arrays (N, H) of a time step that the backward reads or writes

Product = Callable[[Array, Array, Array], Any]  # x, y, out -> out = x @ y


class InBlocks(Faster):
    """An op through time whose gates are blocks (N, H) of memory.

    A version of it defines
        gate_order: for each block that lies in memory, which gate it is in W_hh.
        run(x, multiply, weight, bias, state, out): the forward, of x (T, G, N, H), weight (G, H, H) and bias (G, N, H),
            which is None for none. The states go to `out`. Returns what shall be kept.
        gradients: how many (N, H) the gradients of a step's gates are. In a GRU one more than there are gates: that of
            from_input's last part is another one than that of the state's, and comes after it.
        run_back(block, grad_out, grad_z, multiply, weight, later, state, out): the backward of some time steps, which
            writes the gates' gradients to grad_z, (steps, gradients, N, H). `later` holds dL/dstate from the steps
            after these, and then from these, too.
    """

    __slots__ = ()
    where = "on the CPU, float32 and float64"
    gate_order: ClassVar[Sequence[int]]
    gradients: ClassVar[int]
    run: Callable[..., Any]
    run_back: Callable[..., None]
    needs: Callable[[int], bool]  # ThroughTime has it

    def fits(self, from_input: Array, *others: Array | None) -> bool:
        arrays = all(array is None or type(array) is np.ndarray for array in (from_input, *others))
        return arrays and from_input.dtype.char in "fd"

    def forward(self, from_input: Array, weight_hh: Array, bias_hh: Array | None, *state: Array) -> Array:
        (steps, samples, rows), size = from_input.shape, weight_hh.shape[1]
        x = from_input.reshape((steps, samples, rows // size, size)).swapaxes(1, 2)
        order = list(self.gate_order)
        weight = weight_hh.reshape((-1, size, size))[order].swapaxes(1, 2)
        if steps > 1:  # BLAS would transpose it at every step
            weight = np.ascontiguousarray(weight)
        bias = None
        if bias_hh is not None:  # of every sample: NumPy adds one long run faster than many short ones
            bias = np.repeat(bias_hh.reshape((-1, 1, size))[order], samples, axis=1)
        out = np.empty((len(state), steps, samples, size), from_input.dtype)
        self.kept = self.run(x, _multiply(samples * weight.size), weight, bias, state, out)  # type: ignore[misc]
        return out

    def backward(
        self, grad_out: Array, from_input: Array, weight_hh: Array, bias_hh: Array | None, *state_and_out: Array
    ) -> Gradients:
        *state, out = state_and_out
        (steps, samples, size), gates = out.shape[1:], len(weight_hh) // out.shape[3]
        weight = weight_hh.reshape((gates, size, size))
        multiply = _multiply(samples * weight.size)
        grad_input = grad_from_state = np.empty((steps, samples, gates, size), out.dtype)
        if self.gradients > gates:
            grad_input = np.empty_like(grad_input)
        later = np.zeros((len(state), samples, size), out.dtype)
        for block in reversed([*threads.blocks(0, steps, WORKED_ON * later[0].nbytes)]):
            shape = (block.stop - block.start, self.gradients, samples, size)
            grad_z = threads.workspace("grad_z", shape, out.dtype)
            self.run_back(block, grad_out[:, block], grad_z, multiply, weight, later, state, out)
            grad_from_state[block] = grad_z[:, :gates].swapaxes(1, 2)
            if self.gradients > gates:
                grad_input[block, :, :-1] = grad_from_state[block, :, :-1]
                grad_input[block, :, -1] = grad_z[:, -1]
        rows = grad_from_state.reshape((steps * samples, len(weight_hh)))
        grad_weight = None
        if self.needs(1):  # the sum over all steps of (dL/dz_t)^T h_{t-1}; the first h lies elsewhere
            grad_weight = product(rows[samples:].T, out[0, :-1].reshape((-1, size)))
            grad_weight += rows[:samples].T @ state[0]
        grad_bias = add_up(rows, (0,)) if self.needs(2) else None
        return (grad_input.reshape(from_input.shape), grad_weight, grad_bias, *later)


def _multiply(multiplications: int) -> Product:
    """What makes the product of a time step, of so many multiplications: large ones are shared out."""
    threads.take_over_blas()
    return np.matmul if multiplications < WORTH else _shared_product


def _shared_product(x: Array, y: Array, out: Array) -> None:
    threads.shared_out(_of_some_samples, x.shape[-2], 1, x, y, out, least=0)


def _of_some_samples(start: int, stop: int, x: Array, y: Array, out: Array) -> None:
    np.matmul(x[..., start:stop, :], y, out=out[:, start:stop])


def _sigmoid(z: Array) -> None:
    """1 / (1 + e^-z) in the memory of z."""
    np.negative(z, z)
    np.exp(z, z)
    np.add(z, 1, z)
    np.divide(1, z, z)


def _before(first: Array, states: Array, block: slice) -> Array:
    """The states before the steps of a block, of `states` after every step."""
    if block.start > 0:
        return states[block.start - 1 : block.stop - 1]
    return np.concatenate([first[None], states[: block.stop - 1]])


def _from_the_last(*arrays: Array) -> Any:
    """For each step, from the last to the first, what each of the arrays (T, ...) has there."""
    return zip(*[array[::-1] for array in arrays], strict=True)


class Parts:
    """The parts of every step, as the op's own lines ask for them; the last two lie in memory the other way round."""

    def __init__(self, blocks: Array) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, t: int) -> tuple[Array, ...]:
        first, second, fourth, third = self.blocks[t]
        return first, second, third, fourth


class RNNThroughTime(InBlocks, through_time.RNNThroughTime):
    """What is kept are the states themselves."""

    __slots__ = ()
    gate_order = (0,)
    gradients = 1

    def run(
        self, x: Array, multiply: Product, weight: Array, bias: Array | None, state: tuple[Array], out: Array
    ) -> Array:
        (hidden,) = state
        by_gates = out.swapaxes(0, 1)
        tanh = self.nonlinearity == "tanh"
        for x_t, z, after in zip(x, by_gates, out[0], strict=True):
            multiply(hidden, weight, z)
            np.add(z, x_t, z)
            if bias is not None:
                np.add(z, bias, z)
            if tanh:
                np.tanh(z, z)
            else:
                np.maximum(z, 0, out=z)
            hidden = after
        return by_gates

    def run_back(
        self, block: slice, grad_out: Array, grad_z: Array, multiply: Product, weight: Array, later: Array,
        state: list[Array], out: Array,
    ) -> None:  # fmt: skip
        states = out[0, block]
        slopes = threads.workspace("factors", states.shape, states.dtype)
        if self.nonlinearity == "tanh":
            np.multiply(states, states, slopes)
            np.subtract(1, slopes, slopes)
        else:
            slopes[...] = states != 0
        for from_loss, slope, z in _from_the_last(grad_out[0], slopes, grad_z):
            np.add(later, from_loss, later)
            np.multiply(later, slope, z)
            multiply(z, weight, later)


class LSTMThroughTime(InBlocks, through_time.LSTMThroughTime):
    """In memory the gates are i, f, o, g: first all sigmoids."""

    __slots__ = ()
    gate_order = (0, 1, 3, 2)
    gradients = 4

    def run(
        self, x: Array, multiply: Product, weight: Array, bias: Array | None, state: tuple[Array, Array], out: Array
    ) -> Parts:
        hidden, cell = state
        gates = np.empty(x.shape, out.dtype)
        from_state, scratch = np.empty_like(gates[0]), np.empty_like(gates[0, 0])
        pairs = gates[:, :2], gates[:, 2:], x[:, :2], x[:, :1:-1]
        for z, z_if, z_og, x_if, x_og, sigmoids, (i, f, o, g), h, c in zip(
            gates, *pairs, gates[:, :3], gates, *out, strict=True
        ):
            multiply(hidden, weight, from_state)
            z_if[...] = x_if
            z_og[...] = x_og
            if bias is not None:
                np.add(z, bias, z)
            np.add(z, from_state, z)
            _sigmoid(sigmoids)
            np.tanh(g, g)
            np.multiply(f, cell, c)
            np.multiply(i, g, scratch)
            np.add(c, scratch, c)
            np.tanh(c, scratch)
            np.multiply(o, scratch, h)
            hidden, cell = h, c
        return Parts(gates)

    def run_back(
        self, block: slice, grad_out: Array, grad_z: Array, multiply: Product, weight: Array, later: Array,
        state: list[Array], out: Array,
    ) -> None:  # fmt: skip
        i, f, o, g = self.kept.blocks[block].swapaxes(0, 1)
        hidden, cell = out[:, block]
        steps, samples, size = cell.shape
        factors = threads.workspace("factors", (steps, 5, samples, size), cell.dtype)
        to_i, to_f, to_g, to_o, to_cell = factors.swapaxes(0, 1)
        np.tanh(cell, to_cell)
        np.multiply(hidden, to_cell, to_cell)
        np.subtract(o, to_cell, to_cell)  # o (1 - tanh(c)^2), for h = o tanh(c)
        np.subtract(1, o, to_o)
        np.multiply(to_o, hidden, to_o)  # tanh(c) o (1 - o)
        np.multiply(i, g, to_g)
        np.subtract(1, i, to_i)
        np.multiply(to_i, to_g, to_i)  # g i (1 - i)
        np.multiply(to_g, g, to_g)
        np.subtract(i, to_g, to_g)  # i (1 - g^2)
        np.subtract(1, f, to_f)
        np.multiply(to_f, f, to_f)
        np.multiply(to_f, _before(state[1], out[1], block), to_f)  # c_{t-1} f (1 - f)

        grad_h, grad_c = later
        products, scratch = np.empty_like(weight, shape=grad_z.shape[1:]), np.empty_like(grad_c)
        for from_h, from_c, forget, of_cell, of_ifg, of_o, z_ifg, z_o, z in _from_the_last(
            *grad_out, f, to_cell, factors[:, :3], to_o, grad_z[:, :3], grad_z[:, 3], grad_z
        ):
            np.add(grad_h, from_h, grad_h)
            np.add(grad_c, from_c, grad_c)
            np.multiply(grad_h, of_cell, scratch)
            np.add(grad_c, scratch, grad_c)
            np.multiply(grad_c, of_ifg, z_ifg)
            np.multiply(grad_h, of_o, z_o)
            np.multiply(grad_c, forget, grad_c)
            multiply(z, weight, products)
            np.add.reduce(products, 0, None, grad_h)


class GRUThroughTime(InBlocks, through_time.GRUThroughTime):
    """In memory the parts are r, z, what the state adds to n, and n: first what the product makes."""

    __slots__ = ()
    gate_order = (0, 1, 2)
    gradients = 4

    def run(
        self, x: Array, multiply: Product, weight: Array, bias: Array | None, state: tuple[Array], out: Array
    ) -> Parts:
        (hidden,) = state
        parts = np.empty((len(x), 4, *x.shape[2:]), out.dtype)
        for products, sigmoids, (r, z, n_hidden, n), x_rz, x_n, h in zip(
            parts[:, :3], parts[:, :2], parts, x[:, :2], x[:, 2], out[0], strict=True
        ):
            multiply(hidden, weight, products)
            if bias is not None:
                np.add(products, bias, products)
            np.add(sigmoids, x_rz, sigmoids)
            _sigmoid(sigmoids)
            np.multiply(r, n_hidden, n)
            np.add(n, x_n, n)
            np.tanh(n, n)
            np.subtract(hidden, n, h)
            np.multiply(h, z, h)
            np.add(h, n, h)
            hidden = h
        return Parts(parts)

    def run_back(
        self, block: slice, grad_out: Array, grad_z: Array, multiply: Product, weight: Array, later: Array,
        state: list[Array], out: Array,
    ) -> None:  # fmt: skip
        parts = self.kept.blocks[block]
        r, z, n_hidden, n = parts.swapaxes(0, 1)
        steps, samples, size = z.shape
        factors = threads.workspace("factors", (steps, 5, samples, size), z.dtype)
        to_r, to_z, to_n_hidden, to_n, scratch = factors.swapaxes(0, 1)
        np.subtract(1, parts[:, :2], factors[:, :2])
        np.multiply(n, n, to_n)
        np.subtract(1, to_n, to_n)
        np.multiply(to_n, to_z, to_n)  # (1 - z) (1 - n^2)
        np.multiply(to_n, r, to_n_hidden)
        np.multiply(to_r, n_hidden, to_r)
        np.multiply(to_r, to_n_hidden, to_r)
        np.subtract(_before(state[0], out[0], block), n, scratch)
        np.multiply(to_z, z, to_z)
        np.multiply(to_z, scratch, to_z)  # (h_{t-1} - n) z (1 - z)

        (grad,) = later
        products, direct = np.empty_like(weight, shape=(3, samples, size)), np.empty_like(grad)
        for from_loss, update, of_gates, gates, from_state in _from_the_last(
            grad_out[0], z, factors[:, :4], grad_z, grad_z[:, :3]
        ):
            np.add(grad, from_loss, grad)
            np.multiply(grad, of_gates, gates)
            np.multiply(grad, update, direct)
            multiply(from_state, weight, products)
            np.add.reduce(products, 0, None, grad)
            np.add(grad, direct, grad)

"""A recurrent network over characters: after each one of a text it gives scores for the next.

Karpathy, "The Unreasonable Effectiveness of Recurrent Neural Networks", 2015; Sutskever, Martens, Hinton, "Generating
Text with Recurrent Neural Networks", ICML 2011.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl import backend, nn
from minidl import functional as F
from minidl.checks import real, whole
from minidl.errors import describe
from minidl.nn.modes import evaluating
from minidl.tensors.array import DEFAULT_DTYPE
from minidl.types import Array, TensorLike

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class CharModel(nn.Module):
    """A network over characters that `sample` can continue a text with.

    Attributes:
        vocabulary: how many different characters there are.
    """

    vocabulary: int

    def read(self, indices: Array, past: Any) -> tuple[TensorLike, Any]:
        """Read on: the scores (vocabulary,) of the character after `indices` (T,), and the past of the next call.

        `past` is what the call before returned; None where the text begins.
        """
        raise TypeError("CharModel is abstract")


class CharRNN(CharModel):
    """The model that `char_rnn` makes: an embedding, recurrent layers, and a dense layer to the scores."""

    def __init__(self, vocabulary: int, hidden: int, layers: int, cell: str, embedding: int | None) -> None:
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"char_rnn: expected cell out of {', '.join(CELLS)}; got {cell!r}")
        self.vocabulary = whole(vocabulary, "char_rnn: vocabulary")
        if embedding is None:
            self.register_buffer(
                "one_hot", backend.to_device(np.eye(vocabulary, dtype=DEFAULT_DTYPE), backend.current())
            )
        self.embedding = None if embedding is None else nn.Embedding(vocabulary, embedding)
        self.rnn = CELLS[cell](vocabulary if embedding is None else embedding, hidden, layers, batch_first=True)
        self.fc = nn.Linear(hidden, vocabulary)

    def forward(self, indices: TensorLike, state: Any = None) -> tuple[TensorLike, Any]:
        x = F.embedding(indices, self.one_hot) if self.embedding is None else self.embedding(indices)
        output, state = self.rnn(x, state)
        return self.fc(output), state

    def read(self, indices: Array, past: Any) -> tuple[TensorLike, Any]:
        """What was read is in the state of the recurrent layers: that is the past."""
        scores, state = self(indices[None], past)
        return scores[0, -1], state


def char_rnn(
    vocabulary: int, hidden: int = 128, layers: int = 1, cell: str = "lstm", embedding: int | None = None
) -> CharRNN:
    """A recurrent network over characters, given as indices (N, T), integers from 0 to vocabulary - 1.

        scores, state = model(indices)                  # scores (N, T, vocabulary) of the character after each
        scores, state = model(more_indices, state)      # goes on with the state after the indices before

    Train it with the cross-entropy of the characters that really came next:

        F.cross_entropy(scores.reshape(-1, vocabulary), targets.reshape(-1))        # targets (N, T)

    Between the pieces of a long text detach the state, so that no gradient goes back beyond the piece (truncated
    backpropagation through time): `state.detach()`, or both parts of an LSTM's `(h, c)`. To train on pieces that do not
    continue each other:

        text = md.data.characters(Path("shakespeare.txt"), length=100)
        model = md.models.char_rnn(len(text.classes))
        loss = lambda outputs, y: F.cross_entropy(outputs[0].reshape(-1, len(text.classes)), y.reshape(-1))
        md.fit(model, md.optim.Adam(model), md.data.Loader(text, batch_size=32), loss, epochs=5)

    Args:
        vocabulary: how many different characters there are.
        hidden: the hidden size of each recurrent layer.
        layers: how many recurrent layers.
        cell: 'lstm', 'gru' or 'rnn'.
        embedding: the length of the vector that is learned for each character; None for one-hot vectors.

    Raises:
        ValueError: the cell is unknown or a size is not a whole number of at least 1.
    """
    return CharRNN(vocabulary, hidden, layers, cell, embedding)


def sample(model: CharModel, start: Sequence[int] | Array, length: int, temperature: float = 1.0) -> Array:
    """Continue a text: each next character is drawn from softmax(scores / temperature) and becomes the next input.

    The random numbers come from the stream that `md.seed` starts. The model runs in evaluation mode; afterwards it
    is in the mode in which it was before.

        print(text.decode(sample(model, text.encode("The "), 200, temperature=0.8)))

    Args:
        model: a model that `char_rnn` or `char_transformer` made; the latter looks back on what its context holds.
        start: the indices of the characters to begin with, at least one.
        length: how many characters to add.
        temperature: below 1 likely characters become likelier, above 1 all become more equally likely.

    Returns:
        The indices of the characters that were added, (length,) int64, as a NumPy array.

    Raises:
        TypeError: neither of the two made the model.
        ValueError: `start` is empty, not one row, or has an index outside of the vocabulary; `length` or `temperature`
            is out of range.
    """
    if not isinstance(model, CharModel):
        raise TypeError(f"sample: expected a model that char_rnn or char_transformer made; got {describe(model)}")
    read = np.asarray(start)
    row = read.ndim == 1 and read.size > 0 and read.dtype.kind in "iu"
    if not row or read.min() < 0 or read.max() >= model.vocabulary:
        raise ValueError(
            f"sample: expected a start of at least one character, in one row, each an integer from 0 to "
            f"{model.vocabulary - 1}; got {start!r}"
        )
    if not real(temperature, "sample: temperature") > 0:
        raise ValueError(f"sample: expected a temperature above 0; got {temperature!r}")
    drawn: list[int] = []
    past = None
    with evaluating(model):
        while len(drawn) < whole(length, "sample: length", 0):
            scores, past = model.read(read, past)
            last = backend.to_numpy(scores.data).astype(np.float64)
            chances = F.softmax((last - last.max()) / temperature)
            drawn.append(int(backend.generator().choice(model.vocabulary, p=chances)))
            read = np.array(drawn[-1:])
    return np.array(drawn, np.int64)

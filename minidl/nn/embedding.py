"""Embedding: a learned vector for each word, or other token, of a vocabulary."""

from __future__ import annotations

from minidl import functional as F
from minidl.checks import whole
from minidl.functional.indexing import padding_row
from minidl.nn import init
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.settings import Setting
from minidl.tensors.creation import zeros
from minidl.types import TensorLike


class Embedding(Module):
    """Replaces each index i by the vector weight[i]: indices (...) become vectors (..., embedding_dim).

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1) at first, as in PyTorch.

    Args:
        num_embeddings: the size of the vocabulary; indices go from 0 to num_embeddings - 1.
        embedding_dim: the length of each vector.
        padding_idx: the index of the padding token, with which short sequences are filled up: its vector is 0 at first
            and gets no gradient, so it stays 0.

    Raises:
        ValueError: a size is no whole number of at least 1, or `padding_idx` is no index.
    """

    weight: Parameter
    num_embeddings = Setting(whole)
    embedding_dim = Setting(whole)

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.weight = init.normal_(Parameter(zeros(num_embeddings, embedding_dim)))
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = padding_row(padding_idx, num_embeddings, "Embedding")
            self.weight.data[self.padding_idx] = 0

    def forward(self, indices: TensorLike) -> TensorLike:
        return F.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.num_embeddings}, {self.embedding_dim}")

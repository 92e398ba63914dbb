"""Embedding: a vector for each of a number of words."""

from __future__ import annotations

from typing import Any

from minidl import functional as F
from minidl.checks import whole
from minidl.functional.indexing import padding_row
from minidl.nn import init
from minidl.nn.display import options_text
from minidl.nn.module import Module
from minidl.nn.parameter import Parameter
from minidl.tensors.creation import zeros


class Embedding(Module):
    """Whole numbers (...) into vectors (..., embedding_dim): row i of the weight for each i.

    Attributes:
        weight: (num_embeddings, embedding_dim), at the start N(0, 1) as PyTorch's.

    Args:
        num_embeddings: how many words there are; they are numbered from 0.
        embedding_dim: the length of each vector.
        padding_idx: the number of a word that says nothing: its vector starts as 0 and gets no gradient.
    """

    weight: Parameter

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        super().__init__()
        self.num_embeddings = whole(num_embeddings, "Embedding: num_embeddings")
        self.embedding_dim = whole(embedding_dim, "Embedding: embedding_dim")
        self.weight = init.normal_(Parameter(zeros(num_embeddings, embedding_dim)))
        self.padding_idx = padding_idx
        if padding_idx is not None:
            self.padding_idx = padding_row(padding_idx, num_embeddings, "Embedding")
            self.weight.data[self.padding_idx] = 0

    def forward(self, indices: Any) -> Any:
        return F.embedding(indices, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        return options_text(self, f"{self.num_embeddings}, {self.embedding_dim}")

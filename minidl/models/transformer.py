"""A Transformer over characters, as GPT is one over parts of words: after each it gives scores for the next.

Radford et al., "Language Models are Unsupervised Multitask Learners", 2019 (GPT-2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import nn
from minidl.checks import whole
from minidl.models.text import CharModel
from minidl.types import Array, TensorLike


class CharTransformer(CharModel):
    """The model that `char_transformer` makes: embedding and positions, blocks, a dense layer to the scores."""

    def __init__(self, vocabulary: int, width: int, depth: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.vocabulary = whole(vocabulary, "char_transformer: vocabulary")
        self.context = whole(context, "char_transformer: context")
        self.embedding = nn.Embedding(vocabulary, whole(width, "char_transformer: width"))
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.positions = nn.LearnedPositions(width, context, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True)
            for _ in range(whole(depth, "char_transformer: depth"))
        )
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, vocabulary)

    def forward(self, indices: TensorLike) -> TensorLike:
        x = self.dropout(self.positions(self.embedding(indices)))
        for block in self.blocks:
            x = block(x, is_causal=True)
        return self.fc(self.norm(x))

    def read(self, indices: Array, past: Any) -> tuple[TensorLike, Any]:
        """All that was read is read again: `past` is the indices before, of which the last `context` count."""
        seen = indices if past is None else np.concatenate([past, indices])
        seen = seen[-self.context :]
        return self(seen[None])[0, -1], seen


def char_transformer(
    vocabulary: int, width: int = 64, depth: int = 4, heads: int = 4, context: int = 64, dropout: float = 0.0
) -> CharTransformer:
    """A Transformer over characters, given as indices (N, T), integers from 0 to vocabulary - 1.

        scores = model(indices)             # scores (N, T, vocabulary) of the character after each; T <= context

    Learned vectors for each character and each position are added up and pass through `depth` pre-norm blocks
    (`nn.TransformerEncoderLayer`), in which each character looks at those before it. So each of the T scores is a
    prediction of its own. Train it with the cross-entropy of the characters that really came next, on pieces of text
    as long as the context:

        text = md.data.characters(Path("shakespeare.txt"), length=64)
        model = md.models.char_transformer(len(text.classes), context=64)
        loss = lambda scores, y: F.cross_entropy(scores.reshape(-1, len(text.classes)), y.reshape(-1))
        md.fit(model, md.optim.AdamW(model, lr=1e-3), md.data.Loader(text, batch_size=32), loss, epochs=5)
        print(text.decode(md.models.sample(model, text.encode("The "), 200)))

    There are about 12 depth width^2 parameters: 200,000 with the sizes that are set, a million with width 128 and
    depth 5.

    Args:
        vocabulary: how many different characters there are.
        width: the length of the vectors, E.
        depth: how many blocks.
        heads: in how many heads each block looks, which divide the width.
        context: how many characters it can look back on.
        dropout: in training, the probability with which a number is dropped: for models that learn a text by heart.

    Raises:
        ValueError: a number is out of range, or the heads do not divide the width.
    """
    return CharTransformer(vocabulary, width, depth, heads, context, dropout)

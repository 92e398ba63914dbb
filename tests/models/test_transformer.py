import math

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, models, nn
from minidl.observe import GradientFlow
from minidl.optim import SGD, AdamW, LayerSpecific
from tests.arrays import device, host, tensor
from tests.factory import assert_close
from tests.pytorch import torch

INDICES = np.random.default_rng(0).integers(0, 7, (3, 5))
TEXT = (
    "the cat sat on the mat and the dog lay by the door. the cat saw the dog and the dog saw the cat. "
    "then the dog ran to the mat and the cat ran to the door, and that was that. "
) * 8


def small(**options):
    return models.char_transformer(7, **{"width": 8, "depth": 2, "heads": 2, "context": 6, **options})


# ---- what it computes


def test_it_equals_pytorch():
    model = small()
    their_x = torch.nn.functional.embedding(torch.tensor(INDICES), torch.tensor(host(model.embedding.weight)))
    their_x = their_x + torch.tensor(host(model.positions.weight))[:5]
    hidden = torch.nn.Transformer.generate_square_subsequent_mask(5)
    for block in model.blocks:
        theirs = torch.nn.TransformerEncoderLayer(8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True)
        theirs.load_state_dict({name: torch.tensor(value) for name, value in block.state_dict().items()})
        their_x = theirs(their_x, hidden, is_causal=True)
    norm, fc = torch.nn.LayerNorm(8), torch.nn.Linear(8, 7)
    for mine, their in ((model.norm, norm), (model.fc, fc)):
        their.load_state_dict({name: torch.tensor(value) for name, value in mine.state_dict().items()})
    scores = model(tensor(INDICES))
    assert scores.shape == (3, 5, 7)
    assert_close(scores, fc(norm(their_x)), "float32", slack=4)


def test_no_score_knows_what_comes_after_it():
    model, changed = small(), INDICES.copy()
    changed[:, 3] = (changed[:, 3] + 1) % 7
    before, after = host(model(tensor(INDICES))), host(model(tensor(changed)))
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    assert (after[:, 3:] != before[:, 3:]).all(axis=2).any()


def test_its_size_is_as_its_options_say():
    model = models.char_transformer(90, width=16, depth=3, heads=4, context=10, dropout=0.25)
    assert model.embedding.weight.shape == (90, 16)
    assert model.positions.weight.shape == (10, 16)
    assert len(model.blocks) == 3
    assert [block.self_attn.num_heads for block in model.blocks] == [4] * 3
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.25}
    sizes = [sum(p.size for p in block.parameters()) for block in model.blocks]
    assert sizes == [12 * 16**2 + 13 * 16] * 3
    assert 200_000 < sum(p.size for p in models.char_transformer(60).parameters()) < 220_000


# ---- what it learns


def unigram_entropy(numbers):
    """Nats a character costs if only the frequency of each is known."""
    shares = np.bincount(numbers) / len(numbers)
    return -(shares[shares > 0] * np.log(shares[shares > 0])).sum()


@pytest.fixture(scope="module")
def learned():
    """A text, a tiny network that was trained on it, and its losses."""
    md.seed(0)
    text = md.data.characters(TEXT, length=16)
    model = models.char_transformer(len(text.classes), width=32, depth=1, heads=2, context=16)
    optimizer = AdamW(model, lr=0.01)
    loader = md.data.Loader(text, batch_size=16, seed=0)
    losses = []
    while len(losses) < 60:
        for inputs, labels in loader:
            scores = model(md.Tensor(inputs))
            loss = F.cross_entropy(scores.reshape(-1, len(text.classes)), labels.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return text, model, losses


def test_it_learns_more_than_how_frequent_each_character_is(learned):
    text, _, losses = learned
    entropy = unigram_entropy(text.labels.reshape(-1))
    assert losses[0] == pytest.approx(math.log(len(text.classes)), rel=0.15)
    assert np.mean(losses[-5:]) < 0.5 * entropy


def test_what_it_learned_can_be_sampled(learned):
    text, model, _ = learned
    md.seed(0)
    drawn = text.decode(models.sample(model, text.encode("the "), 60, temperature=0.2))
    words = drawn.replace(".", "").replace(",", "").split()[:-1]
    known = set(TEXT.replace(".", "").replace(",", "").split())
    assert len(words) > 5
    assert sum(word in known for word in words) >= 0.8 * len(words)


def test_sampling_looks_back_on_the_context_and_no_further():
    model = small().eval()
    start = np.random.default_rng(0).integers(0, 7, 20)
    scores, past = model.read(start, None)
    np.testing.assert_array_equal(past, start[-6:])
    np.testing.assert_allclose(host(scores), host(model(tensor(start[None, -6:])))[0, -1], rtol=1e-5, atol=1e-6)
    scores, past = model.read(np.array([3]), past)
    np.testing.assert_array_equal(past, [*start[-5:], 3])
    assert models.sample(model, start, 9).shape == (9,)
    backend.seed(1)
    long = models.sample(model, start, 5).tolist()
    backend.seed(1)
    assert models.sample(model, start[-6:], 5).tolist() == long


def test_it_goes_into_fit():
    md.seed(0)
    text = md.data.characters(TEXT, length=8)
    model = models.char_transformer(len(text.classes), 16, 1, 2, 8)
    history = md.fit(
        model,
        AdamW(model, lr=0.01),
        md.data.Loader(text, batch_size=32),
        lambda scores, y: F.cross_entropy(scores.reshape(-1, len(text.classes)), y.reshape(-1)),
        epochs=2,
    )
    assert history.step_loss[-1] < history.step_loss[0]


# ---- recorders and rates see its layers

LAYERS = [
    "embedding",
    "positions",
    *(
        f"blocks.{i}.{name}"
        for i in range(2)
        for name in ("self_attn", "self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
    ),
    "norm",
    "fc",
]


def backward(model):
    loss = F.cross_entropy(model(tensor(INDICES)).reshape(-1, 7), device(INDICES.reshape(-1)))
    model.zero_grad()
    loss.backward()


def test_recorders_see_all_its_layers():
    model = small()
    optimizer = SGD(model, lr=0.1)
    with GradientFlow(model, optimizer) as flow:
        for _ in range(2):
            backward(model)
            optimizer.step()
    recording = flow.recording
    assert list(recording.layers) == LAYERS
    for values in (recording.weight_gradient_rms, recording.update_norm, recording.activation_rms):
        assert values.shape == (2, len(LAYERS))
        assert np.isfinite(values).all()
        assert (values > 0).all()
    assert recording.verdict()


def test_each_layer_gets_a_rate_of_its_own():
    model = small()
    optimizer = SGD(model, lr=0.1, layer_rate=LayerSpecific())
    backward(model)
    optimizer.step()
    report = optimizer.layer_report()
    assert list(report) == LAYERS
    for name, layer in model.named_layers():
        norm = math.sqrt(sum(float((host(p.grad).astype(np.float64) ** 2).sum()) for p in own_parameters(layer)))
        assert report[name].multiplier == pytest.approx(1 + math.log(1 + 1 / norm), rel=1e-4)


def own_parameters(layer):
    """The parameters that a layer itself owns."""
    return [p for p in vars(layer).values() if isinstance(p, nn.Parameter)]


# ---- what it wants


def test_errors_say_what_was_expected():
    for options, words in [
        ({"width": 9}, "MultiheadAttention: num_heads=2 must divide embed_dim; got 9"),
        ({"depth": 0}, "char_transformer: depth: expected a whole number of at least 1; got 0"),
        ({"context": 0.5}, "char_transformer: context: expected a whole number of at least 1"),
        ({"width": 0}, "char_transformer: width"),
        ({"dropout": 2}, "Dropout: p: expected a number from 0 to 1; got 2"),
    ]:
        with pytest.raises(ValueError, match=words):
            small(**options)
    with pytest.raises(ValueError, match="char_transformer: vocabulary"):
        models.char_transformer(0)
    with pytest.raises(md.ShapeError, match=r"LearnedPositions: expected x \(N, T, 8\).* T at most 6"):
        small()(tensor(np.zeros((1, 7), np.int64)))
    with pytest.raises(TypeError, match="sample: expected a model that char_rnn or char_transformer made; got Linear"):
        models.sample(nn.Linear(2, 2), [0], 3)

import numpy as np
import pytest

import minidl.functional as F
from minidl import backend, models, nn
from minidl.optim import Adam
from tests.arrays import device, host, tensor
from tests.pytorch import torch

INDICES = np.random.default_rng(0).integers(0, 7, (3, 5))


def parts(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_with_one_hot_vectors_it_equals_pytorch(cell):
    model = models.char_rnn(7, hidden=6, layers=2, cell=cell)
    rnn, fc = getattr(torch.nn, cell.upper())(7, 6, 2, batch_first=True), torch.nn.Linear(6, 7)
    for mine, theirs in ((model.rnn, rnn), (model.fc, fc)):
        theirs.load_state_dict({name: torch.from_numpy(value) for name, value in mine.state_dict().items()})
    scores, state = model(tensor(INDICES))
    output, their_state = rnn(torch.nn.functional.one_hot(torch.tensor(INDICES), 7).float())
    np.testing.assert_allclose(host(scores), fc(output).detach().numpy(), rtol=1e-4, atol=1e-6)
    for a, b in zip(parts(state), parts(their_state), strict=True):
        np.testing.assert_allclose(host(a), b.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_an_embedding_is_learned_and_one_hot_vectors_are_not():
    fixed, learned = models.char_rnn(7, 6), models.char_rnn(7, 6, embedding=3)
    assert [name for name, _ in fixed.named_layers()] == ["rnn", "fc"]
    assert [name for name, _ in learned.named_layers()] == ["embedding", "rnn", "fc"]
    assert learned.rnn.input_size == 3
    scores, _ = learned(tensor(INDICES))
    scores.sum().backward()
    assert host(learned.embedding.weight.grad).any()


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_text_may_be_read_in_pieces(cell):
    model = models.char_rnn(7, hidden=6, cell=cell)
    whole, last = model(tensor(INDICES))
    first, state = model(tensor(INDICES[:, :2]))
    second, state = model(tensor(INDICES[:, 2:]), state)
    np.testing.assert_allclose(host(F.concatenate([first, second], axis=1)), host(whole), rtol=1e-5, atol=1e-6)
    for a, b in zip(parts(state), parts(last), strict=True):
        np.testing.assert_allclose(host(a), host(b), rtol=1e-5, atol=1e-6)


@pytest.fixture
def cycle():
    """A network that has learned 0 1 2 0 1 2 ... by truncated backpropagation through time."""
    backend.seed(0)
    model = models.char_rnn(3, hidden=8, cell="gru")
    optimizer = Adam(model, lr=0.05)
    text, state = np.arange(121) % 3, None
    for start in range(0, 120, 4):
        piece, labels = text[start : start + 4], text[start + 1 : start + 5]
        state = state.detach() if state is not None else None
        optimizer.zero_grad()
        scores, state = model(tensor(piece[None]), state)
        F.cross_entropy(scores[0], device(labels)).backward()
        optimizer.step()
    return model


def test_what_it_learned_can_be_sampled(cycle):
    drawn = models.sample(cycle, [0, 1], 9, temperature=0.1)
    assert drawn.dtype == np.int64
    np.testing.assert_array_equal(drawn, np.arange(2, 11) % 3)
    np.testing.assert_array_equal(models.sample(cycle, np.array([2]), 4, temperature=1e-300), [0, 1, 2, 0])
    assert models.sample(cycle, [0], 0).shape == (0,)


def test_a_high_temperature_makes_all_characters_alike(cycle):
    drawn = models.sample(cycle, [0], 300, temperature=1e6)
    assert np.bincount(drawn, minlength=3).min() > 60


def test_one_seed_gives_one_text(cycle):
    def text():
        backend.seed(4)
        return models.sample(cycle, [0], 20, temperature=3.0).tolist()

    assert text() == text()


def test_sampling_leaves_the_model_as_it_was():
    model = models.char_rnn(7, 6)
    model.rnn.eval()
    models.sample(model, [1, 2], 3)
    assert model.training
    assert not model.rnn.training
    assert all(p.grad is None for p in model.parameters())
    with (
        model.fc.register_forward_hook(lambda *_: 1 / 0),
        pytest.raises(ZeroDivisionError),
    ):
        models.sample(model, [1, 2], 3)
    assert model.training


def test_errors_say_what_was_expected():
    with pytest.raises(ValueError, match="char_rnn: expected cell out of gru, lstm, rnn; got 'LSTM'"):
        models.char_rnn(7, cell="LSTM")
    with pytest.raises(ValueError, match="char_rnn: vocabulary: expected a whole number of at least 1; got 0"):
        models.char_rnn(0)
    model = models.char_rnn(7, 6)
    for start in ([], [[1, 2]], [7], [-1], [0.5]):
        with pytest.raises(
            ValueError, match=r"sample: expected a start of at least one .* an integer from 0 to 6; got"
        ):
            models.sample(model, start, 3)
    for temperature in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="sample: expected a temperature above 0"):
            models.sample(model, [1], 3, temperature=temperature)
    with pytest.raises(ValueError, match=r"sample: temperature: expected a number; got '1\.0'"):
        models.sample(model, [1], 3, temperature="1.0")
    with pytest.raises(ValueError, match="LSTM: num_layers"):
        models.char_rnn(7, layers=0)
    assert isinstance(model.rnn, nn.LSTM)


# ---- a model that knows its characters


def test_a_model_of_characters_continues_a_text_with_a_text():
    backend.seed(0)
    model = models.char_rnn(" aceht", hidden=8)
    assert model.classes == tuple(" aceht")
    backend.seed(1)
    added = models.sample(model, "the ", 20)
    assert isinstance(added, str)
    assert len(added) == 20
    backend.seed(1)
    indices = models.sample(model, [" aceht".index(one) for one in "the "], 20)
    assert added == "".join(" aceht"[i] for i in indices)


@pytest.mark.parametrize(
    ("vocabulary", "start", "said"),
    [
        (" aceht", "the dog", "'d', 'g', 'o' of the start are not in the model's vocabulary"),
        (" aceht", "", "expected a start of at least one character"),
        (6, "the ", r"knows only how many characters there are: .*char_rnn\(text\.classes\)"),
    ],
)
def test_a_text_that_cannot_be_continued(vocabulary, start, said):
    with pytest.raises(ValueError, match=said):
        models.sample(models.char_rnn(vocabulary, hidden=4), start, 3)


@pytest.mark.parametrize("vocabulary", ["aa", ["ab"], [], [1, 2]])
def test_a_vocabulary_is_single_different_characters(vocabulary):
    with pytest.raises(ValueError, match="char_rnn: expected a vocabulary of single, different characters"):
        models.char_rnn(vocabulary)

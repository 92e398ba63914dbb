"""minidl/training/evaluation.py: how well a model does on a data set."""

import numpy as np
import pytest

import minidl as md
import minidl.functional as F
from minidl import backend, nn
from minidl.data import Dataset, Loader, Mapped
from minidl.training.evaluation import evaluate, evaluate_unless
from tests.arrays import device, host

RANDOM = np.random.default_rng(0)
DATA = Dataset(RANDOM.normal(size=(26, 6)).astype(np.float32), RANDOM.integers(0, 3, size=26))


def classifier():
    backend.seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)).to(backend.current())


def test_evaluate_gives_the_mean_loss_and_the_share_of_hits():
    model = classifier()
    found = evaluate(model, DATA)
    model.eval()
    logits = model(md.Tensor(device(DATA.inputs)))
    np.testing.assert_allclose(found.loss, host(F.cross_entropy(logits, device(DATA.labels))), rtol=1e-6)
    assert found.accuracy == (host(logits).argmax(axis=1) == DATA.labels).mean()
    assert str(found) == f"loss {found.loss:.4f}, accuracy {found.accuracy:.2%}"


@pytest.mark.parametrize("batch_size", [1, 5, 13, 25, 26, 1000])
def test_the_batch_size_does_not_change_the_result(batch_size):
    model = classifier()
    whole, parts = evaluate(model, DATA), evaluate(model, DATA, batch_size)
    np.testing.assert_allclose(parts.loss, whole.loss, rtol=1e-6)
    assert parts.accuracy == whole.accuracy


def test_of_equal_scores_the_first_class_is_predicted():
    """As in PyTorch and NumPy. In Caffe a tie is wrong: findings/caffe-accuracy-of-a-dead-network.sh."""
    model = nn.Sequential(nn.Linear(6, 3))
    for p in model.parameters():
        p.data[...] = 0
    found = evaluate(model.to(backend.current()), DATA)
    assert found.accuracy == (DATA.labels == 0).mean()
    np.testing.assert_allclose(found.loss, np.log(3), rtol=1e-6)


def test_evaluate_puts_every_modules_mode_back_and_draws_nothing():
    model = classifier()
    model[1].eval()
    before = backend.random_state()
    evaluate(model, DATA)
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert backend.random_state() == before
    with pytest.raises(md.ShapeError):
        evaluate(model, Dataset(np.zeros((3, 5), dtype=np.float32), np.zeros(3, dtype=int)))
    assert [module.training for module in model.modules()] == [True, True, False, True]


def test_evaluate_records_nothing():
    recorded = []

    def loss(outputs, labels):
        recorded.append(outputs.requires_grad)
        return F.cross_entropy(outputs, labels)

    evaluate(classifier(), DATA, loss=loss)
    assert recorded == [False]


def test_labels_of_pixels_count_one_by_one():
    images = Dataset(RANDOM.normal(size=(4, 3, 2, 2)).astype(np.float32), RANDOM.integers(0, 3, size=(4, 2, 2)))
    found = evaluate(nn.Sequential(), images, batch_size=3)
    assert found.accuracy == (images.inputs.argmax(axis=1) == images.labels).mean()


def test_any_source_is_evaluated():
    class Rows:
        """The examples of DATA, from a source that is no Dataset."""

        labels = DATA.labels
        classes = None

        def __len__(self):
            return len(DATA)

        def take(self, indices):
            return DATA.take(indices)

    model = classifier()
    assert evaluate(model, Rows(), batch_size=5) == evaluate(model, DATA, batch_size=5)
    doubled = Mapped(Rows(), lambda inputs, rng: inputs * 2)
    assert evaluate(model, doubled) == evaluate(model, Dataset(DATA.inputs * 2, DATA.labels))


def test_a_model_may_return_more_than_scores():
    """A recurrent network returns its state too: the loss knows what to do, and there is no accuracy."""
    text = Dataset(RANDOM.integers(0, 5, (7, 4)), RANDOM.integers(0, 5, (7, 4)))
    model = md.models.char_rnn(5, hidden=6)

    def loss(outputs, labels):
        return F.cross_entropy(outputs[0].reshape(-1, 5), labels.reshape(-1))

    found = evaluate(model, text, loss=loss)
    assert found.accuracy is None
    assert found.loss == pytest.approx(np.log(5), rel=0.2)
    history = md.fit(model, md.optim.SGD(model), Loader(text, 3), loss, epochs=1, validation=text)
    assert len(history.validation_loss) == 1


def test_evaluate_refuses_what_it_cannot_average():
    model = classifier()
    with pytest.raises(ValueError, match="expected at least one example; the data set is empty"):
        evaluate(model, Dataset(np.zeros((0, 6), dtype=np.float32), np.zeros(0, dtype=int)))
    with pytest.raises(ValueError, match="batch_size: expected a whole number of at least 1; got 0"):
        evaluate(model, DATA, batch_size=0)
    with pytest.raises(TypeError, match="expected a Dataset; got ndarray"):
        evaluate(model, DATA.inputs)


def test_an_evaluation_that_nobody_waits_for_any_more_ends_before_its_next_batch():
    asked, taken = [], []

    def loss(outputs, labels):
        taken.append(len(labels))
        return F.cross_entropy(outputs, labels)

    def stopped():
        asked.append(len(taken))
        return len(taken) == 2

    model = classifier()
    assert evaluate_unless(stopped, model, DATA, batch_size=5, loss=loss) is None
    assert taken == [5, 5]
    assert asked == [0, 1, 2]
    assert all(module.training for module in model.modules())


# ---- batches that count unequally

SCORES = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
WEIGHT = np.array([1.0, 0.25, 3.0], np.float32)
LABELS = np.array([0, 1, -100, 2, -100, -100, -100, 1, 1, 2, -100, 0])


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (F.cross_entropy, LABELS),
        (nn.CrossEntropyLoss(ignore_index=1), np.abs(LABELS) % 3),
        (lambda y, t: F.cross_entropy(y, t, device(WEIGHT)), np.abs(LABELS) % 3),
        (lambda y, t: F.cross_entropy(y, t, device(WEIGHT), label_smoothing=0.2), LABELS),
        (lambda y, t: F.nll_loss(F.log_softmax(y, axis=1), t, ignore_index=0), np.abs(LABELS) % 3),
        (lambda y, t: 0.5 * F.cross_entropy(y, t) + 0.25, LABELS),
        (nn.CrossEntropyLoss(reduction="sum"), LABELS),
        (lambda y, t: F.mse_loss(y, y * 0, weight=device(np.ones((1, 3), np.float32)) * (t[:, None] >= 0)), LABELS),
        (lambda y, t: F.mse_loss(y, y * 0, reduction="sum"), LABELS),
        (F.cross_entropy, np.abs(SCORES)),
    ],
    ids=[
        "ignored",
        "ignored class",
        "weighted",
        "smoothed",
        "nll",
        "scaled",
        "sum",
        "masked",
        "sum of squares",
        "soft",
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2, 5, 12])
def test_the_loss_is_that_of_all_data_in_one_batch(loss, labels, batch_size):
    expected = float(host(loss(md.Tensor(device(SCORES)), device(labels))))
    found = evaluate(nn.Identity(), Dataset(SCORES, labels), batch_size, loss)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)


def test_tokens_count_one_by_one_also_where_the_loss_takes_them_apart():
    """As in a network for text: (N, T, V) scores, (N, T) characters, and padding that is left out."""
    scores = np.random.default_rng(2).normal(size=(4, 5, 7)).astype(np.float32)
    characters = np.arange(20).reshape(4, 5) % 7
    characters[0, 1:], characters[2] = -100, -100

    def loss(outputs, labels):
        return F.cross_entropy(outputs.reshape(-1, 7), labels.reshape(-1))

    expected = float(host(loss(md.Tensor(device(scores)), device(characters))))
    for batch_size in (1, 3, 4):
        found = evaluate(nn.Identity(), Dataset(scores, characters), batch_size, loss)
        np.testing.assert_allclose(found.loss, expected, rtol=1e-6)
        assert found.accuracy is None  # axis 1 is not that of the classes


@pytest.mark.parametrize("batch_size", [1, 2, 5, 12])
def test_labels_that_are_to_be_ignored_are_no_wrong_predictions(batch_size):
    right = SCORES.argmax(axis=1) == LABELS
    found = evaluate(nn.Identity(), Dataset(SCORES, LABELS), batch_size)
    assert found.accuracy == right[LABELS >= 0].mean()
    padded = np.where(LABELS < 0, 0, LABELS)  # class 0 as the padding
    found = evaluate(nn.Identity(), Dataset(SCORES, padded), batch_size, nn.CrossEntropyLoss(ignore_index=0))
    assert found.accuracy == (SCORES.argmax(axis=1) == padded)[padded > 0].mean()
    masked = evaluate(nn.Identity(), Dataset(SCORES, LABELS), batch_size, lambda y, t: F.mean(y[t >= 0]))
    assert masked.accuracy == right[LABELS >= 0].mean()  # a loss that says nothing of what it leaves out


def test_scores_that_are_no_numbers_predict_nothing():
    """They are not class 0, which a model that diverged would else have learned perfectly."""
    scores = np.array([[np.nan, np.nan], [0.0, 1.0], [1.0, np.nan], [3.0, 2.0]], np.float32)
    assert evaluate(nn.Identity(), Dataset(scores, np.array([0, 1, 1, 0]))).accuracy == 0.5


def test_without_a_label_that_counts_there_is_neither_a_loss_nor_an_accuracy():
    found = evaluate(nn.Identity(), Dataset(SCORES, np.full(12, -100)), 5)
    assert np.isnan(found.loss)
    assert found.accuracy is None


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        (np.ones((6, 1), np.float32), np.arange(6) % 2),  # one score for yes and no: cut where?
        (np.ones((6, 1), np.float32), np.arange(6)),  # a regression on whole numbers
        (np.ones((6, 4, 4), np.float32), np.ones((6, 3), int)),  # neither axis fits
        (np.ones((6, 3, 5), np.float32), np.ones((6, 3), int)),  # the classes are on the last axis
        (np.ones((6, 3), np.float32), np.ones((6, 3), int)),
        (np.ones((6, 3), np.float32), np.ones(6, np.float32)),
    ],
)
def test_outputs_that_are_no_scores_of_classes_have_no_accuracy(outputs, labels):
    assert evaluate(nn.Identity(), Dataset(outputs, labels), loss=lambda y, t: F.mean(y)).accuracy is None


def test_labels_may_be_of_any_integer_dtype():
    for dtype in ("uint8", "int16", "uint64"):
        found = evaluate(nn.Identity(), Dataset(SCORES, np.abs(LABELS % 3).astype(dtype)), 5)
        assert found == evaluate(nn.Identity(), Dataset(SCORES, np.abs(LABELS % 3)), 5)


def test_data_with_their_bytes_in_another_order_are_evaluated():
    model = classifier()
    swapped = Dataset(DATA.inputs.astype(">f4"), DATA.labels.astype(">i8"))
    assert evaluate(model, swapped, 5) == evaluate(model, DATA, 5)


def test_what_is_no_model_is_refused_with_the_order_of_arguments():
    with pytest.raises(TypeError, match=r"evaluate: expected a model, a Module; got Dataset: the order is evaluate\("):
        evaluate(DATA, classifier())
    with pytest.raises(TypeError, match=r"got the class Linear: make one, Linear\(\.\.\.\)"):
        evaluate(nn.Linear, DATA)


# ---- of a Loader


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"drop_last": True}, {"workers": 2}])
def test_of_a_loader_each_example_counts_once(options):
    model, loader = classifier(), Loader(DATA, 4, seed=0, **options)
    assert evaluate(model, loader) == evaluate(model, DATA, 4)
    next(iter(loader))
    before = loader.state_dict()
    evaluate(model, loader)
    assert loader.state_dict() == before


def test_a_loaders_transform_is_seen():
    model = classifier()
    doubled = Loader(DATA, 4, seed=0, transform=lambda x, rng: 2 * x)
    assert evaluate(model, doubled) == evaluate(model, Mapped(DATA, lambda x, rng: 2 * x), 4)


def test_evaluating_leaves_the_order_of_a_training_alone():
    loader, other = Loader(DATA, 4, seed=0), Loader(DATA, 4, seed=0)
    model = classifier()
    for _ in range(2):
        evaluate(model, loader)
        for (x, _), (y, _) in zip(loader, other, strict=True):
            np.testing.assert_array_equal(host(x), host(y))


def test_fit_validates_with_a_loader_too():
    histories = []
    for validation in (DATA, Loader(DATA, 256, seed=3)):
        model = classifier()
        optimizer = md.optim.SGD(model, lr=0.1)
        histories.append(md.fit(model, optimizer, Loader(DATA, 4, seed=0), epochs=2, validation=validation))
    assert histories[0].validation_loss == histories[1].validation_loss
    assert histories[0].validation_accuracy == histories[1].validation_accuracy


def test_a_loss_in_the_place_of_the_batch_size():
    with pytest.raises(TypeError, match=r"the loss is given by name: evaluate\(model, dataset, loss=\.\.\.\)"):
        evaluate(classifier(), DATA, F.cross_entropy)

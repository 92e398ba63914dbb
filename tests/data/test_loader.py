"""minidl/data/loader.py: batches in an order that can be repeated and resumed."""

import itertools
import threading
import traceback

import numpy as np
import pytest

import minidl as md
from minidl import backend
from minidl.data import Dataset, Loader, Mapped
from minidl.data import loader as loader_module
from minidl.data import transforms as T
from tests.arrays import device, host
from tests.data.test_ahead import needs_fork, outcome_of_fork
from tests.threads import give_no_thread

NUMBERS = Dataset(np.arange(10.0, dtype=np.float32).reshape(10, 1), np.arange(10))


class Squares:
    """A source that has nothing in memory: example i is an image of i + 1 everywhere, with a gradient across it."""

    classes = ("even", "odd")
    labels = np.arange(23) % 2

    def __len__(self):
        return 23

    def take(self, indices):
        across = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6) / 100
        return (indices + 1).astype(np.float32).reshape(-1, 1, 1, 1) + across, self.labels[indices]


AUGMENT = T.Compose([T.RandomCrop(4, padding=1), T.RandomHorizontalFlip(), T.Normalize(10.0, 3.0)])


def batches(loader, epochs=1):
    """Inputs and labels of all batches, as NumPy arrays."""
    return [(host(inputs), host(labels)) for _ in range(epochs) for inputs, labels in loader]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for (inputs, labels), (expected_inputs, expected_labels) in zip(found, expected, strict=True):
        assert inputs.dtype == expected_inputs.dtype
        np.testing.assert_array_equal(inputs, expected_inputs)
        np.testing.assert_array_equal(labels, expected_labels)


def epoch(loader):
    """The labels of one epoch, batch by batch."""
    return [host(labels).tolist() for _, labels in loader]


def flat(batches):
    return list(itertools.chain.from_iterable(batches))


def test_an_epoch_hands_out_every_example_once_with_its_label():
    for inputs, labels in Loader(NUMBERS, batch_size=4, seed=0):
        assert inputs.dtype == np.float32
        assert labels.dtype == np.int64
        np.testing.assert_array_equal(host(inputs)[:, 0], host(labels))
    assert sorted(flat(epoch(Loader(NUMBERS, batch_size=4, seed=0)))) == list(range(10))


def test_batches_lie_on_the_current_backend():
    for inputs, labels in Loader(NUMBERS, batch_size=4):
        assert backend.device_of(inputs) == backend.device_of(labels) == backend.current()


def test_without_shuffling_the_order_is_the_datas():
    assert epoch(Loader(NUMBERS, batch_size=4, shuffle=False)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("batch_size", "drop_last", "batches"), [(4, False, 3), (4, True, 2), (5, True, 2), (99, False, 1)]
)
def test_len_is_the_number_of_batches(batch_size, drop_last, batches):
    loader = Loader(NUMBERS, batch_size, drop_last=drop_last)
    assert len(loader) == batches
    assert len(epoch(loader)) == batches


def test_the_order_is_the_same_on_every_backend_and_every_version():
    """Written down once; whoever sees another order has another generator."""
    loader = Loader(NUMBERS, batch_size=10, seed=7)
    assert [flat(epoch(loader)) for _ in range(2)] == [
        [6, 3, 4, 9, 0, 2, 8, 7, 5, 1],
        [1, 3, 2, 7, 8, 4, 5, 9, 0, 6],
    ]


def test_seed_and_epoch_decide_the_order():
    first, second = Loader(NUMBERS, 3, seed=5), Loader(NUMBERS, 4, seed=5)
    epochs = [flat(epoch(first)) for _ in range(3)]
    assert [flat(epoch(second)) for _ in range(3)] == epochs
    assert len({tuple(e) for e in epochs}) == 3
    assert flat(epoch(Loader(NUMBERS, 3, seed=6))) != epochs[0]


def test_without_a_seed_minidls_own_seed_decides():
    orders = []
    for seed in (1, 1, 2):
        backend.seed(seed)
        orders.append(flat(epoch(Loader(NUMBERS, 10))))
    assert orders[0] == orders[1] != orders[2]


def test_shuffling_draws_nothing_from_the_global_streams():
    loader = Loader(NUMBERS, 2, seed=0)
    before = backend.random_state()
    epoch(loader)
    assert backend.random_state() == before


def test_writing_to_a_batch_does_not_change_the_data():
    data = Dataset(device(np.ones((4, 2))), device([0, 1, 2, 3]))
    for shuffle in (False, True):
        for inputs, labels in Loader(data, batch_size=4, shuffle=shuffle):
            inputs[...] = 0
            labels[...] = 9
    np.testing.assert_array_equal(host(data.inputs), 1)
    np.testing.assert_array_equal(host(data.labels), [0, 1, 2, 3])


def test_a_loop_left_early_is_followed_by_the_next_epoch():
    loader = Loader(NUMBERS, 2, seed=0)
    whole = Loader(NUMBERS, 2, seed=0)
    for _ in loader:
        break
    epoch(whole)
    assert epoch(loader) == epoch(whole)
    assert loader.epoch == 2


@pytest.mark.parametrize("position", [0, 1, 3, 5])
def test_another_loader_continues_where_the_state_was_taken(position):
    straight = Loader(NUMBERS, 2, seed=3)
    expected = [epoch(straight) for _ in range(3)]

    stopped = Loader(NUMBERS, 2, seed=3)
    epoch(stopped)
    running = iter(stopped)
    done = [host(next(running)[1]).tolist() for _ in range(position)]

    resumed = Loader(NUMBERS, 2, seed=99)
    resumed.load_state_dict(stopped.state_dict())
    assert done + epoch(resumed) == expected[1]
    assert epoch(resumed) == expected[2]


def test_a_state_of_other_batches_is_refused_and_changes_nothing():
    loader = Loader(NUMBERS, 2, seed=3)
    before = loader.state_dict()
    for key, value, words in [
        ("batch_size", 3, "batch_size=3; this Loader has 2"),
        ("examples", 11, "examples=11; this Loader has 10"),
        ("shuffle", False, "shuffle=False; this Loader has True"),
        ("position", 6, "batch 6 of 5"),
        ("position", -1, "non-negative integer as position"),
        ("seed", 1.5, "non-negative integer as seed"),
    ]:
        with pytest.raises(ValueError, match=words):
            loader.load_state_dict({**before, key: value})
    with pytest.raises(ValueError, match="expected a state with epoch"):
        loader.load_state_dict({"epoch": 1})
    assert loader.state_dict() == before


def test_data_too_large_for_the_device_is_moved_batch_by_batch(monkeypatch):
    whole = Loader(NUMBERS, 4, seed=0)
    monkeypatch.setattr(loader_module, "MOVED_WHOLE", 0)
    batch_wise = Loader(NUMBERS, 4, seed=0)
    assert backend.device_of(batch_wise._source.inputs) == "numpy"
    for (a, _), (b, labels) in zip(whole, batch_wise, strict=True):
        assert backend.device_of(b) == backend.device_of(labels) == backend.current()
        np.testing.assert_array_equal(host(a), host(b))


def test_a_gpu_is_not_waited_for(standin):
    with backend.using("cupy"):
        loader = Loader(NUMBERS, 3)
        batches = [batch for _ in range(2) for batch in loader]
    assert len(batches) == 8
    assert standin.synchronizations() == ()


@pytest.mark.parametrize("options", [{"transform": AUGMENT}, {"workers": 2}, {"transform": AUGMENT, "workers": 2}])
def test_batches_made_on_the_host_go_to_the_gpu_and_never_come_back(standin, options):
    with backend.using("cupy"):
        for inputs, _ in Loader(Dataset(*Squares().take(np.arange(23))), 4, **options):
            assert backend.device_of(inputs) == "cupy"
    assert standin.synchronizations() == ()


@pytest.mark.parametrize("options", [{}, {"workers": 2}, {"transform": lambda x, rng: x.astype(">f4")}])
def test_batches_have_their_bytes_in_the_order_of_the_machine(options):
    inputs, labels = np.arange(12.0).reshape(6, 2), np.arange(6)
    data = Dataset(inputs.astype(">f4"), labels.astype(">i8"))
    for x, y in Loader(data, 4, shuffle=False, **options):
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        np.testing.assert_array_equal(host(x)[:, 0] / 2, host(y))


# ---- sources, transforms, workers


def test_any_source_is_handed_out_on_the_current_backend():
    loader = Loader(Squares(), 5, seed=0)
    seen = []
    for inputs, labels in loader:
        assert backend.device_of(inputs) == backend.device_of(labels) == backend.current()
        number = host(inputs)[:, 0, 0, 0].astype(int) - 1
        np.testing.assert_array_equal(host(labels), number % 2)
        seen.extend(number.tolist())
    assert sorted(seen) == list(range(23))


def test_the_batches_are_the_same_where_the_workers_cannot_be_started(monkeypatch):
    expected = batches(Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=2), epochs=2)
    give_no_thread(monkeypatch)
    with pytest.warns(UserWarning, match=r"^Loader\(workers=2\): no threads can be started here"):
        found = batches(Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=2), epochs=2)
    assert_same(found, expected)


@pytest.mark.parametrize("data", [Squares(), Dataset(*Squares().take(np.arange(23)))], ids=["source", "dataset"])
@pytest.mark.parametrize("transform", [None, AUGMENT], ids=["plain", "augmented"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_batches_are_the_same_for_any_number_of_workers(data, transform, workers):
    expected = batches(Loader(data, 4, seed=3, transform=transform), epochs=2)
    assert_same(batches(Loader(data, 4, seed=3, transform=transform, workers=workers), epochs=2), expected)


def test_a_transform_draws_anew_for_every_batch_and_epoch_and_never_what_the_order_drew():
    def draws(inputs, rng):
        drawn.append(tuple(rng.integers(2**63, size=2).tolist()))
        return inputs

    runs = []
    for seed in (1, 1, 2):
        drawn = []
        batches(Loader(NUMBERS, 2, seed=seed, transform=draws), epochs=2)
        runs.append(drawn)
    assert runs[0] == runs[1]
    assert len({*runs[0], *runs[2]}) == 20
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence((1, 0))))  # what epoch 0 is ordered by
    assert tuple(order.integers(2**63, size=2).tolist()) not in runs[0]


def test_a_transform_is_given_numpy_arrays_wherever_the_data_are():
    kinds = []

    def look(inputs, rng):
        kinds.append(type(inputs))
        return inputs * 2

    data = Dataset(device(np.ones((6, 2))), device(np.arange(6)))
    for inputs, labels in Loader(data, 2, transform=look):
        assert backend.device_of(inputs) == backend.device_of(labels) == backend.current()
        np.testing.assert_array_equal(host(inputs), 2)
    assert kinds == [np.ndarray] * 3


def test_threads_make_the_batches_and_the_one_who_trains_moves_them():
    made, moved = set(), set()

    def look(inputs, rng):
        made.add(threading.current_thread())
        return inputs

    class Watched(Loader):
        def _delivered(self, array):
            moved.add(threading.current_thread())
            return super()._delivered(array)

    batches(Watched(NUMBERS, 2, transform=look, workers=2))
    assert moved == {threading.main_thread()}
    assert made
    assert threading.main_thread() not in made


@pytest.mark.parametrize("workers", [0, 2])
def test_position_and_state_count_what_was_handed_out_not_what_was_made_ahead(workers):
    loader = Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=workers)
    for done, _ in enumerate(loader, start=1):
        assert (loader.epoch, loader.position) == (0, done)
        assert loader.state_dict()["position"] == done
    assert (loader.epoch, loader.position) == (1, 0)


@pytest.mark.parametrize(("before", "after"), [(0, 2), (2, 0), (2, 3)])
@pytest.mark.parametrize("position", [1, 3, 6])
def test_augmented_batches_go_on_where_the_state_was_taken(before, after, position):
    expected = batches(Loader(Squares(), 4, seed=3, transform=AUGMENT), epochs=3)

    stopped = Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=before)
    done = batches(stopped)
    for _, (inputs, labels) in zip(range(position), stopped, strict=False):
        done.append((host(inputs), host(labels)))
        state = stopped.state_dict()

    resumed = Loader(Squares(), 4, transform=AUGMENT, workers=after)
    resumed.load_state_dict(state)
    assert_same(done + batches(resumed, epochs=2), expected)


def test_a_loop_left_early_with_workers_is_followed_by_the_next_epoch():
    loader = Loader(Squares(), 4, seed=0, transform=AUGMENT, workers=2)
    for _ in loader:
        break
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("minidl-loader")]
    assert_same(batches(loader), batches(Loader(Squares(), 4, seed=0, transform=AUGMENT), epochs=2)[6:])


@needs_fork
def test_a_forked_process_begins_its_own_epoch_and_is_refused_its_parents():
    loader = Loader(NUMBERS, 4, workers=2)
    iteration = iter(loader)
    next(iteration)
    assert outcome_of_fork(lambda: list(iteration)).startswith("RuntimeError: process")
    # CUDA works in no fork, so that there not even an epoch of its own can begin, nor anything else on the GPU.
    of_its_own = outcome_of_fork(lambda: len(list(loader)))
    assert of_its_own == "3" if backend.current() == "numpy" else of_its_own.startswith("RuntimeError: process")
    assert outcome_of_fork(lambda: md.zeros(2).sum().item()).startswith(
        "0" if backend.current() == "numpy" else "RuntimeError: process"
    )
    assert len(list(iteration)) == 2


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_is_raised_at_its_batch_and_says_which(workers):
    class Damaged(Squares):
        def take(self, indices):
            if 13 in indices:
                raise OSError("cannot read 13.jpg")
            return super().take(indices)

    loader = Loader(Damaged(), 4, shuffle=False, workers=workers)
    done = []
    with pytest.raises(OSError, match=r"cannot read 13\.jpg") as caught:
        done.extend(labels for _, labels in loader)
    assert len(done) == loader.position == 3
    assert caught.value.__notes__ == ["while the Loader made batch 3 of epoch 0"]
    assert "in take" in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None, "4"])
def test_a_batch_size_must_be_a_positive_integer(batch_size):
    with pytest.raises(ValueError, match="expected a batch size of at least 1"):
        Loader(NUMBERS, batch_size)


@pytest.mark.parametrize("seed", [-1, 0.5, True])
def test_a_seed_must_be_a_non_negative_integer(seed):
    with pytest.raises(ValueError, match="Loader: seed: expected a whole number of at least 0"):
        Loader(NUMBERS, 2, seed=seed)


@pytest.mark.parametrize("workers", [-1, 1.0, True, None])
def test_workers_are_a_number(workers):
    with pytest.raises(ValueError, match="expected a number of workers of at least 0"):
        Loader(NUMBERS, 2, workers=workers)


def test_what_is_no_transform_is_refused():
    with pytest.raises(TypeError, match=r"Loader: expected a transform, a function of \(images, rng\); got 3"):
        Loader(NUMBERS, 2, transform=3)
    with pytest.raises(TypeError, match=r"make one, RandomHorizontalFlip\(\.\.\.\)"):
        Loader(NUMBERS, 2, transform=T.RandomHorizontalFlip)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (lambda x, rng: None, "to return 4 images, an array; got None"),
        (lambda x, rng: x[1:], r"got ndarray .*\(3, 1\)"),
    ],
)
def test_a_transform_that_loses_images_is_refused(transform, words):
    with pytest.raises(ValueError, match=words):
        batches(Loader(NUMBERS, 4, transform=transform))


def test_what_has_no_batches_is_refused():
    with pytest.raises(ValueError, match="the data set is empty"):
        Loader(Dataset(np.zeros((0, 3)), np.zeros(0)), 2)
    with pytest.raises(ValueError, match="drop_last leaves no batch"):
        Loader(NUMBERS, 11, drop_last=True)
    with pytest.raises(TypeError, match=r"got ndarray of shape \(3,\).*wrap it"):
        Loader(np.zeros(3), 2)


def test_the_repr_says_what_it_hands_out():
    assert repr(Loader(NUMBERS, 4, seed=1)) == (
        "Loader(Dataset(10 examples, inputs (1,) float32), 3 batches of 4, seed=1)"
    )


class Labelled:
    """A source that is no Dataset: its inputs cannot be looked at without reading them."""

    classes = None

    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        raise AssertionError("read")


ROWS, LABELS = np.arange(600, dtype=np.float32).reshape(300, 2), np.arange(300) % 3


@pytest.mark.parametrize(
    "other",
    [
        Dataset(ROWS, np.roll(LABELS, 1)),
        Dataset(ROWS, LABELS.astype(np.int32)),
        Dataset(-ROWS, LABELS),
        Dataset(ROWS.astype(np.float64), LABELS),
        Dataset(ROWS.reshape(300, 2, 1), LABELS),
        Mapped(Dataset(-ROWS, LABELS), lambda images, rng: images),
        Labelled(LABELS),
    ],
)
def test_a_state_of_other_data_is_refused(other):
    state = Loader(Dataset(ROWS, LABELS), 4).state_dict()
    Loader(Dataset(ROWS.copy(), LABELS.copy()), 4).load_state_dict(state)
    loader = Loader(other, 4)
    with pytest.raises(ValueError, match="Loader: the state was taken with other data: their labels or inputs"):
        loader.load_state_dict(state)
    del state["data"]  # as states were before
    loader.load_state_dict(state)


def test_the_labels_of_any_source_are_compared():
    state = Loader(Labelled(LABELS), 4).state_dict()
    Loader(Labelled(LABELS.tolist()), 4).load_state_dict(state)
    with pytest.raises(ValueError, match="other data"):
        Loader(Labelled(LABELS[::-1]), 4).load_state_dict(state)


# ---- several iterations of one loader at the same time


def test_loops_inside_each_other_are_epochs_of_their_own():
    straight = Loader(NUMBERS, 4, seed=0)
    expected = [epoch(straight) for _ in range(4)]
    loader = Loader(NUMBERS, 4, seed=0)
    inner, outer = [], []
    for _, labels in loader:
        outer.append(host(labels).tolist())
        inner.append(epoch(loader))
    assert [outer, *inner] == expected
    assert (loader.epoch, loader.position) == (4, 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_zip_goes_through_two_epochs_side_by_side(workers):
    expected = batches(Loader(Squares(), 4, seed=3, transform=AUGMENT), epochs=2)
    loader = Loader(Squares(), 4, seed=3, transform=AUGMENT, workers=workers)
    pairs = [[(host(x), host(y)) for x, y in pair] for pair in zip(loader, loader, strict=False)]
    assert_same([one for one, _ in pairs] + [other for _, other in pairs], expected)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("minidl-loader")]


def test_threads_that_share_a_loader_have_an_epoch_each():
    straight = Loader(NUMBERS, 2, seed=0)
    expected = sorted(epoch(straight) for _ in range(4))
    loader, found = Loader(NUMBERS, 2, seed=0), []
    threads = [threading.Thread(target=lambda: found.append(epoch(loader))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == expected


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "dropped"])
@pytest.mark.parametrize("position", [1, 2, 5])
def test_a_look_at_a_batch_does_not_move_the_state_of_the_loop(kept, position):
    straight = Loader(NUMBERS, 2, seed=3)
    expected = [epoch(straight) for _ in range(2)]

    loader, looks, done = Loader(NUMBERS, 2, seed=3), [], []
    for _, labels in loader:
        done.append(host(labels).tolist())
        if len(done) == position:
            state = loader.state_dict()
            break
        looks.append(iter(loader))
        next(looks[-1])
        if not kept:
            looks.clear()

    resumed = Loader(NUMBERS, 2)
    resumed.load_state_dict(state)
    assert done + epoch(resumed) == expected[0]
    assert resumed.epoch == position  # the looks were epochs 1, 2, ...


def test_a_look_that_is_kept_does_not_hide_that_an_epoch_has_ended():
    loader = Loader(NUMBERS, 2, seed=3)
    look = iter(loader)
    next(look)
    for done, _ in enumerate(loader, start=1):
        assert (loader.epoch, loader.position) == (1, done)
    assert (loader.epoch, loader.position) == (2, 0)
    assert len(list(look)) == 4  # it goes on where it was


def test_an_iteration_that_was_never_asked_for_a_batch_takes_no_epoch():
    loader = Loader(NUMBERS, 2, seed=3)
    iter(loader)
    assert epoch(loader) == epoch(Loader(NUMBERS, 2, seed=3))


def test_an_iteration_goes_on_as_it_began_while_the_loader_is_put_elsewhere():
    def draws(inputs, rng):
        return inputs + rng.integers(100)

    expected = batches(Loader(NUMBERS, 2, seed=3, transform=draws))
    loader, found = Loader(NUMBERS, 2, seed=3, transform=draws), []
    for inputs, labels in loader:
        found.append((host(inputs), host(labels)))
        loader.load_state_dict(Loader(NUMBERS, 2, seed=4).state_dict())
    assert_same(found, expected)


def test_a_state_of_before_there_were_several_iterations_is_still_read():
    loader, resumed = Loader(NUMBERS, 2, seed=3), Loader(NUMBERS, 2)
    for _ in zip(range(2), loader, strict=False):
        state = loader.state_dict()
    resumed.load_state_dict({key: value for key, value in state.items() if key != "next_epoch"})
    epoch(resumed)
    assert (resumed.epoch, resumed.position) == (1, 0)


@pytest.mark.parametrize("name", ["dataset", "batch_size", "drop_last", "transform", "workers", "processes"])
def test_what_a_loader_was_made_with_is_not_changed_afterwards(name):
    loader = Loader(NUMBERS, 2)
    with pytest.raises(AttributeError, match=f"Loader: {name} is what the Loader was made with: make another one"):
        setattr(loader, name, 3)
    assert len(list(loader)) == len(loader)


# ---- one batch by its number


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_can_be_made_once_more(workers):
    loader = Loader(NUMBERS, 4, seed=3, transform=lambda x, rng: x + rng.normal(size=x.shape), workers=workers)
    for number in range(2):
        for i, (inputs, labels) in enumerate(loader):
            again = loader.batch(number, i)
            np.testing.assert_array_equal(host(again[0]), host(inputs))
            np.testing.assert_array_equal(host(again[1]), host(labels))
    assert (loader.epoch, loader.position) == (2, 0)
    with pytest.raises(IndexError, match="the number of a batch, from 0 to 2; got 3"):
        loader.batch(0, 3)

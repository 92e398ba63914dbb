"""minidl/files/weights.py: weights go to PyTorch and come from there in both formats; what is no such file is named."""

import builtins
import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest

import minidl as md
from minidl import nn
from minidl.errors import DTypeError
from minidl.files.arrays import save_arrays
from tests.arrays import host, tensor
from tests.files.test_reading import needs_pipes
from tests.models.translation import translated
from tests.pytorch import safetensors_torch, torch

BOTH = pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
IMAGES = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32)


def two_lenets():
    """LeNet here and in PyTorch, each with weights of its own."""
    ours, theirs = md.models.lenet(), translated(md.models.lenet()).float()
    assert not np.array_equal(host(ours.fc1.weight), theirs.fc1.weight.detach().numpy())
    return ours, theirs


def assert_same_outputs(ours, theirs):
    with torch.no_grad():
        expected = theirs(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(host(ours(tensor(IMAGES))), expected, rtol=1e-4, atol=1e-5)


@BOTH
def test_a_networks_weights_come_from_pytorch(tmp_path, suffix):
    (ours, theirs), path = two_lenets(), tmp_path / f"lenet{suffix}"
    if suffix == ".npz":
        np.savez(path, **{name: w.numpy() for name, w in theirs.state_dict().items()})
    else:
        safetensors_torch.save_file(theirs.state_dict(), path)
    ours.load_state_dict(md.load(path))
    assert_same_outputs(ours, theirs)


def test_the_line_in_the_docstring_takes_weights_to_pytorch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours, theirs = two_lenets()
    md.save(ours.state_dict(), "lenet.npz")
    [line] = [line for line in md.save.__doc__.splitlines() if "torch.from_numpy" in line]
    theirs.load_state_dict(eval(line.strip()))
    assert_same_outputs(ours, theirs)


@BOTH
def test_home_is_understood(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    md.save({"w": np.ones(2)}, f"~/new/w{suffix}")
    assert (tmp_path / "new" / f"w{suffix}").is_file()
    assert set(md.load(f"~/new/w{suffix}")) == {"w"}


@BOTH
def test_a_networks_weights_go_to_pytorch(tmp_path, suffix):
    (ours, theirs), path = two_lenets(), tmp_path / f"lenet{suffix}"
    md.save(ours.state_dict(), path)
    if suffix == ".npz":
        with np.load(path) as file:
            state = {name: torch.from_numpy(file[name]) for name in theirs.state_dict()}
    else:
        state = safetensors_torch.load_file(path)
    theirs.load_state_dict(state)
    assert_same_outputs(ours, theirs)


ARRAYS = {
    "transposed": np.arange(6.0, dtype=np.float32).reshape(2, 3).T,
    "stepped": np.arange(10.0)[::3],
    "half": np.array([1.5, -np.inf], np.float16),
    "number": np.array(3.25, np.float32),
    "empty": np.zeros((0, 4), np.float64),
    "count": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "bytes": np.arange(3, dtype=np.uint8),
    "other byte order": np.arange(3, dtype=">f4"),
}


@BOTH
def test_arrays_come_back_as_they_were(tmp_path, suffix):
    md.save(ARRAYS, tmp_path / f"a{suffix}")
    found = md.load(str(tmp_path / f"a{suffix}"))
    assert set(found) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)
        found[name][...] = 0  # they are the caller's


@BOTH
def test_tensors_are_saved_wherever_they_live(tmp_path, suffix):
    x = tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    md.save({"x": x, "raw": x.data, "one": np.float32(1)}, tmp_path / f"a{suffix}")
    found = md.load(tmp_path / f"a{suffix}")
    assert all(type(array) is np.ndarray for array in found.values())
    np.testing.assert_array_equal(found["x"], [1, 2])
    np.testing.assert_array_equal(found["raw"], [1, 2])
    assert found["one"].shape == ()


@BOTH
def test_the_folder_is_made_and_capitals_do_not_matter(tmp_path, suffix):
    path = tmp_path / "new" / f"a{suffix.upper()}"
    md.save({}, path)
    assert md.load(path) == {}


@BOTH
@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        (nn.Linear(2, 1), TypeError, r"expected a dict of arrays by name; got Linear: save its state_dict\(\)"),
        ([np.ones(2)], TypeError, "got list$"),
        ({1: np.ones(2)}, TypeError, "names as keys; got 1"),
        ({"lr": "0.1"}, TypeError, "expected 'lr' to be an array, a Tensor or a number; got str"),
        (
            {"model": {"w": np.ones(2)}},
            TypeError,
            r"got dict: save it in .* own, or both by .*save_checkpoint\(",
        ),
        ({"\ud800": np.ones(2)}, ValueError, r"'\\ud800' cannot be a name in a file"),
        ({"w": np.array(["a"])}, DTypeError, "expected 'w' to hold booleans, integers or floating numbers; got <U1"),
        ({"w": np.ones(2, complex)}, DTypeError, "got complex128"),
        ({"w": np.array([None])}, DTypeError, "got object"),
    ],
)
def test_what_is_no_state_is_refused_and_leaves_the_old_file(tmp_path, suffix, state, error, words):
    path = tmp_path / f"a{suffix}"
    md.save({"w": np.ones(2)}, path)
    with pytest.raises(error, match=words):
        md.save(state, path)
    np.testing.assert_array_equal(md.load(path)["w"], [1, 1])
    assert list(tmp_path.iterdir()) == [path]


@BOTH
def test_a_tensor_of_pytorchs_is_refused(tmp_path, suffix):
    with pytest.raises(TypeError, match=r"got Tensor of torch: pass what its numpy\(\) gives$"):
        md.save({"w": torch.ones(2)}, tmp_path / f"a{suffix}")


@BOTH
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    md.save({"w": np.ones(2)}, path)

    def full(*args):
        raise OSError("no space left")

    monkeypatch.setattr("minidl.files.writing.os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        md.save({"w": np.zeros(2)}, path)
    np.testing.assert_array_equal(md.load(path)["w"], [1, 1])
    assert list(tmp_path.iterdir()) == [path]


@BOTH
def test_every_truncation_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    md.save(nn.Linear(3, 2).state_dict(), path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=rf"weights\{suffix} is damaged, cut off or no"):
            md.load(path)


def test_a_flipped_byte_in_our_npz_is_noticed(tmp_path):
    path = tmp_path / "weights.npz"
    md.save({"w": np.zeros(100)}, path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"weights\.npz is damaged"):
        md.load(path)


@BOTH
def test_a_file_of_the_other_format_is_refused_by_name(tmp_path, suffix):
    other = tmp_path / ("a.npz" if suffix == ".safetensors" else "a.safetensors")
    md.save({"w": np.ones(2)}, other)
    path = other.rename(tmp_path / f"b{suffix}")
    with pytest.raises(ValueError, match=rf"b\{suffix} is damaged, cut off or no"):
        md.load(path)


@pytest.mark.parametrize("name", ["lenet.pt", "lenet", "lenet.npz.zip"])
def test_another_suffix_is_refused(tmp_path, name):
    for act in (lambda path: md.save({}, path), md.load):
        with pytest.raises(ValueError, match=rf"{name}: expected a file whose name ends in .npz or .safetensors"):
            act(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_a_missing_file_is_not_found(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match="none"):
        md.load(tmp_path / f"none{suffix}")


@BOTH
def test_too_little_memory_is_not_called_damage(tmp_path, monkeypatch, suffix):
    def full(*arguments):
        raise MemoryError

    path = tmp_path / f"w{suffix}"
    md.save({"w": np.ones(1000)}, path)
    with monkeypatch.context() as patched:
        patched.setattr(np, "empty", full)
        patched.setattr("minidl.files.weights.bytearray", full, raising=False)
        with pytest.raises(MemoryError) as caught:
            md.load(path)
    assert re.fullmatch(rf"while .*w\{suffix} was read, which takes [\d,]+ bytes", caught.value.__notes__[0])


def test_a_name_that_comes_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, value in (("w.npy", 1.0), ("w", 2.0)):
            buffer = io.BytesIO()
            np.save(buffer, np.array(value))
            archive.writestr(name, buffer.getvalue())
    with pytest.raises(ValueError, match=r"a\.npz is damaged.*: two of its arrays are called 'w'"):
        md.load(tmp_path / "a.npz")


@needs_pipes
@BOTH
def test_a_pipe_is_not_waited_for(tmp_path, suffix):
    os.mkfifo(tmp_path / f"w{suffix}")
    with pytest.raises(ValueError, match=rf"w\{suffix} is a pipe: expected a regular file"):
        md.load(tmp_path / f"w{suffix}")


class Bomb:
    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


@BOTH
def test_nothing_is_unpickled(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    contents = [pickle.dumps(Bomb())]
    np.savez(tmp_path / "objects.npz", a=np.array([Bomb()], dtype=object))
    contents.append((tmp_path / "objects.npz").read_bytes())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\{suffix} (cannot be read|is damaged)"):
            md.load(path)
    assert not Bomb.exploded


@BOTH
def test_a_file_of_torch_save_is_not_unpickled(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    torch.save({"a": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=rf"a\{suffix} (cannot be read|is damaged)"):
        md.load(path)


def test_another_file_of_minidls_is_named(tmp_path):
    save_arrays(tmp_path / "run.npz", {"w": np.ones(2)}, kind="checkpoint")
    with pytest.raises(ValueError, match=r"run\.npz is a checkpoint; expected a weights file"):
        md.load(tmp_path / "run.npz")


@pytest.mark.parametrize(("dtype", "name"), [(torch.bfloat16, "BF16"), (torch.float8_e5m2, "F8_E5M2")])
def test_dtypes_that_numpy_lacks_are_refused_by_name(tmp_path, dtype, name):
    path = tmp_path / "published.safetensors"
    safetensors_torch.save_file({"fine": torch.ones(2), "embed.weight": torch.ones(2).to(dtype)}, path)
    with pytest.raises(ValueError, match=rf"published.* holds 'embed.weight' as {name}; .* to float32"):
        md.load(path)


def test_other_dtypes_in_an_npz_are_refused_by_name(tmp_path):
    for array, name in ((np.ones(2, complex), "complex128"), (np.zeros(2, "V2"), r"\|V2"), (np.array(["a"]), "<U1")):
        np.savez(tmp_path / "a.npz", w=array)
        with pytest.raises(ValueError, match=rf"a\.npz holds 'w' as {name}"):
            md.load(tmp_path / "a.npz")


def test_names_a_format_cannot_have_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a\.safetensors.*'__metadata__'"):
        md.save({"__metadata__": np.ones(2)}, tmp_path / "a.safetensors")
    for name in ("../w", "w\0"):
        with pytest.raises(ValueError, match=r"a\.npz.*cannot be the name"):
            md.save({name: np.ones(2)}, tmp_path / "a.npz")


def test_without_the_library_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    found = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("safetensors"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for act in (lambda path: md.save({}, path), md.load):
        with pytest.raises(ImportError, match=r"pip install 'minidl\[safetensors\]', or use .npz"):
            act(tmp_path / "a.safetensors")
    md.save({}, tmp_path / "a.npz")


@BOTH
def test_an_optimizers_state_goes_into_a_file_too(tmp_path, suffix):
    model = nn.Linear(3, 2)
    optimizer, other = md.optim.Adam(model, lr=0.1), md.optim.Adam(model)
    model(tensor(np.ones((1, 3), np.float32))).sum().backward()
    optimizer.step()
    md.save(optimizer.state_dict(), tmp_path / f"adam{suffix}")
    other.load_state_dict(md.load(tmp_path / f"adam{suffix}"))
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value)


# ---- exchanged and forgotten arguments


def test_load_takes_a_path_and_nothing_else(tmp_path):
    model = md.nn.Linear(2, 1)
    for arguments in ((tmp_path / "w.npz", model), (model, tmp_path / "w.npz"), (model,)):
        with pytest.raises(TypeError, match=r"the path of a file and nothing else: .*\.load_state_dict\(md\.load\("):
            md.load(*arguments)


def test_a_path_is_described_not_printed_whole():
    with pytest.raises(TypeError, match=r"expected a path, a str or a pathlib\.Path; got list$"):
        md.load([1.0] * 1000)


def test_save_with_its_arguments_exchanged(tmp_path):
    with pytest.raises(TypeError, match=r"save: .*got the path first: save\(state, path\)"):
        md.save(tmp_path / "w.npz", md.nn.Linear(2, 1).state_dict())


def test_a_state_that_is_a_path_or_a_model():
    model = md.nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"got str: md\.load\(path\) reads one"):
        model.load_state_dict("w.npz")
    with pytest.raises(TypeError, match=r"got Linear: give its state_dict\(\)"):
        model.load_state_dict(md.nn.Linear(2, 1))
    with pytest.raises(TypeError, match=r"expected what SGD\.state_dict\(\) returned, a dict; got 'w\.npz'"):
        md.optim.SGD(model, lr=0.1).load_state_dict("w.npz")

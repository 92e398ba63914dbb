"""Weights in files: `md.save(model.state_dict(), "lenet.npz")`, `model.load_state_dict(md.load("lenet.npz"))`.

The file's suffix says the format. `.npz` is NumPy's own, written with a checksum; one that `numpy.savez` made of
PyTorch's weights can be read as well. `.safetensors` is the format most published weights come in, read and written by
the library of that name. Neither can hold code, as the pickled files of `torch.save` can. `.caffemodel`, in which Caffe
wrote its weights, is read only.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any, Never

import numpy as np

from minidl import backend
from minidl.errors import DTypeError
from minidl.files.arrays import load_arrays, save_arrays
from minidl.files.caffe import read_caffemodel
from minidl.files.reading import as_damage, naming, read_bytes
from minidl.files.writing import path_of, write_atomically
from minidl.habits.answers import unknown_option

KIND = "weights_file"
SUFFIXES = (".npz", ".safetensors")
CAFFE = ".caffemodel"
_DTYPES = {  # as safetensors calls them
    "BOOL": np.dtype("?"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}


def save(state: Mapping[str, Any], path: str | PathLike[str]) -> None:
    """Write arrays by name, such as a model's or an optimizer's `state_dict()`, to a file, completely or not at all.

    PyTorch takes them from there without pickles, out of a .safetensors by `safetensors.torch.load_file`, and out of an
    .npz by

        {name: torch.from_numpy(w) for name, w in md.load("lenet.npz").items()}

    or, where minidl is not at hand, by `numpy.load`, which lists the file's description as well, under "about.json".

    Args:
        state: name -> array or Tensor of booleans, integers or floating numbers, or one plain number. What is on a GPU
            is copied to the host first.
        path: the file, with the suffix .npz or .safetensors.

    Raises:
        TypeError: `state` is no dict of arrays by name.
        DTypeError: an array has another dtype.
        ValueError: the suffix is another one, or a name is unusable.
        ImportError: a .safetensors file without the library safetensors.
        OSError: the file cannot be written.
    """
    if isinstance(state, (str, PathLike)):
        raise TypeError("save: expected the arrays and then the path; got the path first: save(state, path)")
    path = path_of(path)
    suffix = _suffix(path)
    if not isinstance(state, Mapping):
        hint = ": save its state_dict()" if hasattr(state, "state_dict") else ""
        raise TypeError(f"save: expected a dict of arrays by name; got {type(state).__name__}{hint}")
    arrays = {name: _on_host(name, value) for name, value in state.items()}
    if suffix == ".npz":
        save_arrays(path, arrays, kind=KIND)
        return
    if "__metadata__" in arrays:
        raise ValueError(f"{path}: a safetensors file keeps the name '__metadata__' for itself")
    write_atomically(path, _safetensors(path).numpy.save(arrays))


def load(path: str | PathLike[str], *model: Any, **unknown: Never) -> dict[str, Any]:
    """The arrays in a file of weights, by name, as NumPy arrays: what `Module.load_state_dict` takes.

    Nothing in the file can run code. Weights of PyTorch come here by its own safetensors, or as an npz:

        np.savez("lenet.npz", **{name: w.numpy() for name, w in model.state_dict().items()})

    A .caffemodel has Caffe's names of the layers; `md.models.from_caffe` gives them those of `md.models.lenet` and its
    like, and says what an image has to be.

    Args:
        path: the file, with the suffix .npz, .safetensors or .caffemodel.
        model: nothing; a model is given the arrays by its own `load_state_dict`.

    Raises:
        TypeError: there is something beside the path, or it is no path.
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds something else than weights, or has another suffix. The message names it.
        MemoryError: there is too little memory. A note names the file and the bytes.
        ImportError: a .safetensors file without the library safetensors.
    """
    if unknown:
        raise unknown_option("md.load(path)", unknown)
    if model or hasattr(path, "load_state_dict"):
        raise TypeError(
            "load: expected the path of a file and nothing else: it returns the arrays by name, which a model takes: "
            "model.load_state_dict(md.load(path))"
        )
    path = path_of(path)
    if Path(path).suffix.lower() == CAFFE:
        return read_caffemodel(path)
    if _suffix(path) == ".safetensors":
        return _read_safetensors(path)
    arrays, _ = load_arrays(path, kind=KIND, foreign=True)
    for name, array in arrays.items():
        if array.dtype.newbyteorder("<") not in _DTYPES.values():
            raise ValueError(_not_held(path, name, str(array.dtype)))
    return arrays


def _read_safetensors(path: str) -> dict[str, Any]:
    library = _safetensors(path)
    content = read_bytes(path)
    with as_damage(path, "is damaged, cut off or no safetensors file", 2 * len(content)):
        bytearray(len(content))  # the library takes as much again, and panics where there is less
        entries = library.deserialize(content)  # raises an error of its own, which cannot be named without it
    arrays: dict[str, Any] = {}
    with naming(path, 2 * len(content)):
        for name, entry in entries:
            if entry["dtype"] not in _DTYPES:
                raise ValueError(_not_held(path, name, entry["dtype"]))
            values = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]])
            arrays[name] = values.reshape(entry["shape"]).copy()
    return arrays


def _not_held(path: str, name: str, dtype: str) -> str:
    return (
        f"{path} holds {name!r} as {dtype}; expected booleans, integers or floating numbers that NumPy has: "
        f"convert it where the file was made (bfloat16 and smaller to float32)"
    )


def _on_host(name: Any, value: Any) -> Any:
    """A NumPy array of one entry, its elements in the order in which both formats write them."""
    if not isinstance(name, str):
        raise TypeError(f"save: expected names as keys; got {name!r}")
    if name.encode(errors="replace").decode() != name:
        raise ValueError(f"save: {name!r} cannot be a name in a file: it holds half a character")
    value = value.shown(f"save: {name!r}") if hasattr(value, "shown") else value  # a Tensor
    if not backend.is_array(value) and not isinstance(value, (np.generic, bool, int, float)):
        hint = f" of {type(value).__module__}: pass what its numpy() gives" if hasattr(value, "numpy") else ""
        if isinstance(value, Mapping):
            hint = ": save it in a file of its own, or both by md.training.save_checkpoint(path, model, optimizer)"
        raise TypeError(
            f"save: expected {name!r} to be an array, a Tensor or a number; got {type(value).__name__}{hint}"
        )
    array = backend.to_numpy(backend.asarray(value))
    if array.dtype.newbyteorder("<") not in _DTYPES.values():
        raise DTypeError(f"save: expected {name!r} to hold booleans, integers or floating numbers; got {array.dtype}")
    # safetensors writes the memory as it lies, also that of a transposed array, which would come back scrambled.
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")


def _suffix(path: str) -> str:
    suffix = Path(path).suffix.lower()
    if suffix == CAFFE:
        raise ValueError(f"{path}: a .caffemodel is only read; expected a file whose name ends in .npz or .safetensors")
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{path}: expected a file whose name ends in .npz or .safetensors (to be read, also .caffemodel). (A .pt "
            f"or .pth file is pickled: load it in PyTorch, and save it with safetensors.torch.save_file or numpy.savez)"
        )
    return suffix


def _safetensors(path: str) -> ModuleType:
    """The library; its part for NumPy arrays is `safetensors.numpy`."""
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            f"{path}: a .safetensors file needs the library safetensors: pip install 'minidl[safetensors]', or use .npz"
        ) from error
    return safetensors

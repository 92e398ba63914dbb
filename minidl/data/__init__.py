"""Data sets and how they are handed out: the handwritten digits, Dataset, Loader."""

from minidl.data.dataset import Dataset, DataSplits
from minidl.data.digits import digits
from minidl.data.loader import Loader

__all__ = ["DataSplits", "Dataset", "Loader", "digits"]

"""Tensor: an array with its operators, its history and its gradient; how one is made, and written to in place."""

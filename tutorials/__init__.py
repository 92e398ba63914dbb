"""The tutorials: twelve sources NN_name.py, and what is made from them by `python -m tutorials`."""

"""The tests of minidl; `pytest --backend standin` runs them on a strict imitation of CuPy."""

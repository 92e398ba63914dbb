"""The tutorials for a class: sources with solutions made into what students and graders get (`minidl tutorials`).

A source is a Python file in cells (`# %%`, jupytext's py:percent). Everything else is made from it.
"""

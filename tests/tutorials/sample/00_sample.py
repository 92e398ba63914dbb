# %% [markdown]
# # 0. A sample
#
# Afterwards you can double a number. It needs nothing before it and takes 50 minutes.

# %%
import numpy as np
from exercises import check

import minidl as md

# %% [markdown]
# **Exercise: predict.** What is the slope of $y = 2x$?

# %% exercise="t00_slope"
slope = 2.0  # SOLUTION

# %% check="t00_slope"
checked = check.t00_slope(slope)

# %% [markdown]
# **Exercise: implement.** Write $y = 2x$.


# %% exercise="t00_double"
def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    return 2 * x
    # END SOLUTION


# %% check="t00_double"
checked = check.t00_double(double)

# %%
twice = checked.working(np.arange(3.0))
print("twice:", twice)

# %% [markdown]
# **Exercise: explain.** Why is it linear?
#
# a) because it is steep; b) because $f(a + b) = f(a) + f(b)$

# %% exercise="t00_why"
choice = "b"  # SOLUTION

# %% check="t00_why"
checked = check.t00_why(choice)

# %% [markdown] own_words="t00_why"
# In your own words:

# %%
md.seed(0)
model = md.models.mlp((4, 3, 2))
inputs = md.tensor(np.arange(8, dtype=np.float32).reshape(2, 4) / 8)
with md.record() as tape:
    md.functional.cross_entropy(model(inputs), np.array([0, 1])).backward()
md.plot.gradient_flow(model)

# %% [markdown]
# The step is at [pages/00_step.html](pages/00_step.html).

# %% tags=["teacher"]
slides = {"00_flow": md.plot.gradient_flow(model, style="slides"), "00_graph": md.plot.gradient_flow(model)}
pages = {"00_step": tape}

"""h is used twice, b is broadcast, backward() is called twice without zero_grad(), and there is no optimizer."""

import minidl as md
import minidl.functional as F

x = md.tensor([[1.0, 2.0], [3.0, -1.0]])
w = md.tensor([0.5, 2.0], requires_grad=True)
b = md.tensor([0.25], requires_grad=True)
for _ in range(2):
    h = x * w + b
    loss = F.sum(h * h) + F.sum(h)
    loss.backward()

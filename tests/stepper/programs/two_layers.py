"""One step of a small network; all of its numbers are exact in binary, so that they are the same on any machine."""

import minidl as md
import minidl.functional as F


class Net(md.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = md.nn.Linear(2, 2)
        self.fc2 = md.nn.Linear(2, 1)

    def forward(self, x):
        h = F.relu(self.fc1(x))
        return self.fc2(h)


def main():
    model = Net()
    model.fc1.weight.data = md.tensor([[0.5, -1.0], [2.0, 0.25]]).data
    model.fc1.bias.data = md.tensor([0.5, -0.5]).data
    model.fc2.weight.data = md.tensor([[1.0, -0.5]]).data
    model.fc2.bias.data = md.tensor([0.25]).data
    optimizer = md.optim.SGD(model, lr=0.5)
    x = md.tensor([[1.0, 0.5], [-1.0, 2.0]], name="x")
    y = md.tensor([[1.0], [0.0]], name="y")
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.mean((model(x) - y) ** 2)
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()

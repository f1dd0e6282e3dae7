"""Multi-layer perceptron on the handwritten digits of scikit-learn."""
import numpy as np
from sklearn.datasets import load_digits

import torch


class MLP(torch.nn.Module):
    def __init__(self, n_in=64, n_hidden=128, n_out=10):
        super().__init__()
        self.fc1 = torch.nn.Linear(n_in, n_hidden)
        self.fc2 = torch.nn.Linear(n_hidden, n_hidden)
        self.out = torch.nn.Linear(n_hidden, n_out)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.tanh(self.fc2(x))
        return self.out(x)


def make_model():
    torch.manual_seed(0)
    return MLP()


def train(model, steps=20, batch_size=64, lr=1e-3):
    digits = load_digits()
    X = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    y = torch.tensor(digits.target, dtype=torch.long)

    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    order = np.random.RandomState(0).permutation(len(X))
    losses = []
    model.train()
    for step in range(steps):
        idx = torch.from_numpy(order[step * batch_size:(step + 1) * batch_size])
        optimizer.zero_grad()
        output = model(X[idx])
        loss = criterion(output, y[idx])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    model.eval()
    with torch.no_grad():
        pred = model(X).argmax(dim=1)
        accuracy = (pred == y).float().mean().item()
    print("train accuracy: {:.2%}".format(accuracy))
    return losses


if __name__ == "__main__":
    for i, loss in enumerate(train(make_model(), steps=20)):
        print("step {:2d}  loss {:.4f}".format(i, loss))

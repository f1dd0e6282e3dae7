"""LSTM sequence classifier: embedding, two bidirectional-free layers, last hidden state, RMSprop."""
import random

import torch
from torch import nn, optim


class SentimentLSTM(nn.Module):
    def __init__(self, vocab_size, embedding_dim, hidden_dim, output_dim, n_layers, dropout=0.0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim, padding_idx=0)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, num_layers=n_layers, batch_first=True, dropout=dropout)
        self.fc = nn.Linear(hidden_dim, output_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, text):
        embedded = self.dropout(self.embedding(text))
        output, (hidden, cell) = self.lstm(embedded)
        assert output.shape == (text.shape[0], text.shape[1], hidden.shape[-1])
        return self.fc(self.dropout(hidden[-1]))


def make_batch(rng, batch_size, seq_len, vocab_size):
    texts, labels = [], []
    for _ in range(batch_size):
        label = rng.randint(0, 1)
        low, high = (1, vocab_size * 2 // 3) if label else (vocab_size // 3, vocab_size - 1)
        length = rng.randint(seq_len // 2, seq_len)
        text = [rng.randint(low, high) for _ in range(length)]
        texts.append([0] * (seq_len - length) + text)
        labels.append(float(label))
    return torch.tensor(texts), torch.tensor(labels)


def binary_accuracy(preds, y):
    rounded_preds = torch.round(torch.sigmoid(preds))
    correct = (rounded_preds == y).float()
    return correct.sum() / len(correct)


def make_model():
    torch.manual_seed(3)
    return SentimentLSTM(vocab_size=50, embedding_dim=24, hidden_dim=32, output_dim=1, n_layers=2)


def train(model, steps=20):
    rng = random.Random(0)
    optimizer = optim.RMSprop(model.parameters(), lr=2e-3)
    criterion = nn.BCEWithLogitsLoss()
    epoch_acc = 0
    losses = []
    model.train()
    for _ in range(steps):
        text, label = make_batch(rng, batch_size=16, seq_len=20, vocab_size=50)
        optimizer.zero_grad()
        predictions = model(text).squeeze(1)
        loss = criterion(predictions, label)
        acc = binary_accuracy(predictions, label)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
        optimizer.step()
        losses.append(loss.item())
        epoch_acc += acc.item()
    print(f"Train Loss: {sum(losses) / steps:.3f} | Train Acc: {epoch_acc / steps * 100:.2f}%")
    return losses


if __name__ == "__main__":
    print(train(make_model()))

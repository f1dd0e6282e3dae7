"""The command line: run scripts and modules, report what is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.source_tree import ROOT


def command(*args: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    program = [
        sys.executable,
        "-c",
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from monograph.cli.main import main; sys.exit(main())",
        *args,
    ]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_torch_script_trains(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        """
import argparse, torch
import torch.nn as nn, torch.nn.functional as F, torch.optim as optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
args = parser.parse_args()
torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
x = torch.linspace(-1, 1, 64).unsqueeze(1)
loader = DataLoader(TensorDataset(x, x ** 2), batch_size=16, shuffle=True)
model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).to(device)
optimizer = optim.Adam(model.parameters(), lr=0.02)
scheduler = StepLR(optimizer, 10)
for epoch in range(args.epochs):
    for a, b in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(model(a.to(device)), b.to(device))
        loss.backward()
        optimizer.step()
    scheduler.step()
torch.save(model.state_dict(), "model.pt")
model.load_state_dict(torch.load("model.pt", map_location=device, weights_only=True))
print(loss.item() < 0.1, __name__)
""",
        encoding="utf-8",
    )
    result = command("run", "--as", "torch", "train.py", "--epochs", "5", folder=tmp_path)
    assert result.stdout.strip() == "True __main__", result.stderr


def test_modules_exit_codes_and_errors(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__main__.py").write_text("import sys, torch\nprint(torch.__name__)\nsys.exit(3)\n", encoding="utf-8")
    result = command("run", "--as", "torch", "-m", "pkg", folder=tmp_path)
    assert (result.stdout.strip(), result.returncode) == ("torch", 3), result.stderr
    result = command("run", "none.py", folder=tmp_path)
    assert result.returncode == 4 and "no such file" in result.stderr
    (tmp_path / "fails.py").write_text("1 / 0\n", encoding="utf-8")
    result = command("run", "fails.py", folder=tmp_path)
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr

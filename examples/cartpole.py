"""Reinforcement learning: balancing a pole by policy gradients with a learned baseline, in gymnasium's CartPole.

pip install gymnasium. The loop is a raw one: nothing of the trainer is needed, and the update is still one compiled step.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from verdict import package, verdict, wants_quick

import monograph as mg
import monograph.nn.functional as F
from monograph import nn

GAMMA, EPISODES, LONGEST = 0.99, 8, 500


class Agent(nn.Module):
    """The logits of both actions, and how much reward is still expected."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
        self.value = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, state: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        return self.policy(state), self.value(state)[..., 0]


def play(agent: Agent, worlds: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An episode in each world, side by side: states, actions and rewards to come (EPISODES, LONGEST ...), and the lengths."""
    states = np.zeros((EPISODES, LONGEST, 4), np.float32)
    actions, to_come = np.zeros((EPISODES, LONGEST), np.int64), np.zeros((EPISODES, LONGEST), np.float32)
    lengths, running = np.zeros(EPISODES, int), np.ones(EPISODES, bool)
    now = np.stack([world.reset(seed=int(rng.integers(1 << 31)))[0] for world in worlds]).astype(np.float32)
    for step in range(LONGEST):
        with mg.no_grad():
            right = agent.policy(mg.from_numpy(now.copy())).softmax(1)[:, 1].numpy()
        states[:, step], actions[:, step] = now, rng.random(EPISODES) < right
        for i in np.flatnonzero(running):
            now[i], _, fallen, over, _ = worlds[i].step(int(actions[i, step]))
            lengths[i], running[i] = step + 1, not (fallen or over)
        if not running.any():
            break
    for i, length in enumerate(lengths):  # each step on the way gave 1
        to_come[i, :length] = ((1 - GAMMA ** np.arange(length, 0, -1)) / (1 - GAMMA)).astype(np.float32)
    return states, actions, to_come, lengths


def main() -> int:
    quick = wants_quick(__doc__)
    gymnasium = package("gymnasium", "gymnasium")
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    agent = Agent()
    optimizer = mg.optim.Adam(agent.parameters(), lr=1e-2)

    @mg.compile
    def learn(states: mg.Tensor, actions: mg.Tensor, to_come: mg.Tensor, played: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        logits, expected = agent(states)
        better = (to_come - expected).detach()  # than expected
        better = better / ((better**2 * played).sum() / played.sum()).sqrt()
        logs = logits.log_softmax(-1)
        chosen = logs.gather(-1, actions[..., None])[..., 0]
        entropy = -(logs.exp() * logs).sum(-1)
        errors = F.smooth_l1_loss(expected, to_come, reduction="none")
        loss = ((errors - chosen * better - 0.01 * entropy) * played).sum() / played.sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    worlds = [gymnasium.make("CartPole-v1") for _ in range(EPISODES)]
    rewards: list[float] = []
    for update in range(1, 26 if quick else 201):
        states, actions, to_come, lengths = play(agent, worlds, rng)
        played = (np.arange(LONGEST) < lengths[:, None]).astype(np.float32)
        loss = learn(*map(mg.from_numpy, (states, actions, to_come, played)))
        rewards += lengths.tolist()
        if update % 5 == 0:
            lately = f"mean length of the last 40 episodes {np.mean(rewards[-40:]):.1f}"
            print(f"update {update:3d}  loss {loss.item():8.3f}  {lately}", flush=True)
        if np.mean(rewards[-40:]) > (80 if quick else 475):
            break
    return verdict("mean length of the last 40 episodes", float(np.mean(rewards[-40:])), at_least=60 if quick else 400)


if __name__ == "__main__":
    sys.exit(main())

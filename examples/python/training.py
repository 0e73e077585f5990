# SPDX-License-Identifier: Apache-2.0
"""A training loop of PyTorch, and the three lines that add the loss of Causal Action Recognition to it."""
import torch

import car
from car.torch import CARLoss

torch.manual_seed(0)
labels = torch.randint(0, 4, (512,))
masks = torch.zeros(512, 1, 16, 16)
masks[:, :, 4:12, 4:12] = 1
scene = torch.where(torch.rand(512) < 0.9, labels, torch.randint(0, 4, (512,))).view(-1, 1, 1, 1) / 4  # goes with the label, mostly
actor = labels.view(-1, 1, 1, 1) / 2 - 1
images = scene * (1 - masks) + actor * masks + 0.3 * torch.randn(512, 1, 16, 16)

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
loss_of = CARLoss(alpha=1.0)  # was: torch.nn.CrossEntropyLoss()

for epoch in range(5):
    for rows in torch.randperm(512).split(64):
        p = model(images[rows])
        c = model(car.erase(images[rows], masks[rows], "mean"))  # new: the same network sees the images without the actor
        loss = loss_of(p, c, labels[rows])  # was: loss_of(p, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    effect = car.effect(p.detach(), c.detach(), labels[rows])
    print(f"epoch {epoch + 1}  loss {loss.item():.4f}  P_effect {effect.mean:+.3f} ({effect.lower:+.3f} to {effect.upper:+.3f})")

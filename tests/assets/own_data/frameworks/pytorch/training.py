"""The training loop, and the way from a network of PyTorch to ONNX."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


def trained(features: np.ndarray, truth: np.ndarray, params: Mapping[str, Any]) -> bytes:
    """Train a network on some rows; return it as ONNX.

    Args:
        features: shape (n_rows, n_features).
        truth: tonnes, shape (n_rows,).
        params: seed, device, hidden, epochs, learning_rate.
    """
    torch.manual_seed(params["seed"])
    rows = torch.from_numpy(features.astype(np.float32)).to(params["device"])
    tonnes = torch.from_numpy(truth.astype(np.float32)).reshape(-1, 1).to(params["device"])
    hidden = params["hidden"]
    network = nn.Sequential(nn.Linear(rows.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, 1))
    network.to(params["device"])
    optimizer = torch.optim.Adam(network.parameters(), lr=params["learning_rate"])
    for _ in range(params["epochs"]):
        for chosen in torch.randperm(len(rows)).split(64):
            optimizer.zero_grad()
            nn.functional.l1_loss(network(rows[chosen]), tonnes[chosen]).backward()
            optimizer.step()
    return _onnx(network.cpu().eval(), rows[:1].cpu())


def _onnx(network: nn.Module, example: torch.Tensor) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        torch.onnx.export(
            network,
            (example,),
            file,
            input_names=["features"],
            output_names=["tonnes"],
            dynamic_axes={"features": {0: "rows"}, "tonnes": {0: "rows"}},  # any number
            dynamo=False,
        )
        return file.read_bytes()

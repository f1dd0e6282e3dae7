"""Run an exported model without its Python code: `run_artifact.py model.mg data.npz outputs.npy`. Knows nothing of the network inside."""

from __future__ import annotations

import sys

import numpy as np

import monograph as mg


def main(artifact: str, data: str, outputs: str) -> None:
    with np.load(data) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    model = mg.export.load(artifact).module()
    with mg.no_grad():
        whole = model(mg.from_numpy(images)).numpy()
        # The batch was exported as a symbol: any size runs, and a row does not depend on how many others came with it.
        for size in (1, 7, 100):
            assert np.array_equal(model(mg.from_numpy(images[:size])).numpy(), whole[:size]), f"batch of {size}"
    print(f"fresh process: {(whole.argmax(1) == labels).mean():.2%} right on {len(labels)} images")
    np.save(outputs, whole)


if __name__ == "__main__":
    main(*sys.argv[1:])

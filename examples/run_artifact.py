"""Run an exported model without its Python code: `run_artifact.py model.mg data.npz outputs.npz`. Knows nothing of the network inside."""

from __future__ import annotations

import sys

import numpy as np

import monograph as mg


def main(artifact: str, data: str, outputs: str) -> None:
    with np.load(data) as arrays:
        images, labels, sizes = arrays["images"], arrays["labels"], arrays["sizes"]
    model = mg.export.load(artifact).module()
    with mg.no_grad():
        # The batch was exported as a symbol: one artifact runs all sizes.
        results = {str(size): model(mg.from_numpy(images[:size])).numpy() for size in sizes}
    largest = results[str(max(sizes))]
    print(f"fresh process: {(largest.argmax(1) == labels[: len(largest)]).mean():.2%} right on {len(largest)} images")
    np.savez(outputs, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])

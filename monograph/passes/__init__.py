"""Floor 3: graph to graph, one verb a file; `pipeline` is the order. See README.md."""

"""torch_geometric: convolutions, message passing, pooling, batches, loaders and transforms on random graphs."""

from __future__ import annotations

from typing import Any

import torch
import torch_geometric.nn as gnn
import torch_geometric.transforms as T  # noqa: N812 - as everybody imports it
from frame import case, filled, integers, main, normal, supervised, trained, uniform
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.loader import DataLoader
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.resolver import aggregation_resolver
from torch_geometric.utils import (
    add_self_loops,
    coalesce,
    contains_isolated_nodes,
    degree,
    dense_to_sparse,
    get_laplacian,
    is_undirected,
    k_hop_subgraph,
    remove_self_loops,
    scatter,
    softmax,
    subgraph,
    to_dense_adj,
    to_dense_batch,
    to_undirected,
)

NODES, FEATURES, CLASSES = 30, 8, 4


def graph(seed: Any = 0, nodes: int = NODES, edges: int = 90) -> Data:
    """A random graph with features, labels, weights of edges and places."""
    index = torch.stack([integers(edges, high=nodes, seed=("from", seed)), integers(edges, high=nodes, seed=("to", seed))])
    index = to_undirected(coalesce(remove_self_loops(index)[0]))
    return Data(
        x=normal(nodes, FEATURES, seed=("x", seed)),
        edge_index=index,
        y=integers(nodes, high=CLASSES, seed=("y", seed)),
        edge_weight=uniform(index.size(1), low=0.2, seed=("w", seed)),
        edge_attr=normal(index.size(1), 3, seed=("e", seed)),
        pos=normal(nodes, 3, seed=("pos", seed)),
    )


class Net(torch.nn.Module):
    """Two layers of a convolution."""

    def __init__(self, first: Any, second: Any, *more: str) -> None:
        super().__init__()
        self.first, self.second, self.more = first, second, more

    def forward(self, data: Data) -> torch.Tensor:
        more = [data[name] for name in self.more]
        return self.second(torch.relu(self.first(data.x, data.edge_index, *more)), data.edge_index, *more)


def mlp(inputs: int, outputs: int) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(inputs, 16), torch.nn.ReLU(), torch.nn.Linear(16, outputs))


CONVOLUTIONS: dict[str, Any] = {
    "GCNConv": lambda i, o: gnn.GCNConv(i, o),
    "GATConv": lambda i, o: gnn.GATConv(i, o, heads=2, concat=False),
    "GATv2Conv": lambda i, o: gnn.GATv2Conv(i, o, heads=2, concat=False),
    "SAGEConv": lambda i, o: gnn.SAGEConv(i, o),
    "SAGEConv max": lambda i, o: gnn.SAGEConv(i, o, aggr="max", project=True),
    "GINConv": lambda i, o: gnn.GINConv(mlp(i, o), train_eps=True),
    "GraphConv": lambda i, o: gnn.GraphConv(i, o),
    "ChebConv": lambda i, o: gnn.ChebConv(i, o, K=3),
    "TAGConv": lambda i, o: gnn.TAGConv(i, o),
    "SGConv": lambda i, o: gnn.SGConv(i, o, K=2),
    "TransformerConv": lambda i, o: gnn.TransformerConv(i, o, heads=2, concat=False),
    "ARMAConv": lambda i, o: gnn.ARMAConv(i, o, num_stacks=2),
    "EdgeConv": lambda i, o: gnn.EdgeConv(mlp(2 * i, o)),
    "LEConv": lambda i, o: gnn.LEConv(i, o),
    "ResGatedGraphConv": lambda i, o: gnn.ResGatedGraphConv(i, o),
    "GENConv": lambda i, o: gnn.GENConv(i, o, norm="layer"),
    "FiLMConv": lambda i, o: gnn.FiLMConv(i, o),
    "SuperGATConv": lambda i, o: gnn.SuperGATConv(i, o, heads=2, concat=False, attention_type="SD", edge_sample_ratio=1.0),
    "PNAConv": lambda i, o: gnn.PNAConv(i, o, ["mean", "max", "min", "std"], ["identity", "amplification"], torch.arange(20)),
    "ClusterGCNConv": lambda i, o: gnn.ClusterGCNConv(i, o),
    "EGConv": lambda i, o: gnn.EGConv(i, o, num_heads=2, num_bases=2),
    "GeneralConv": lambda i, o: gnn.GeneralConv(i, o),
    "MFConv": lambda i, o: gnn.MFConv(i, o, max_degree=6),
}


def of(name: str) -> None:
    """Enters a case: the output, and losses of training."""

    @case(name=name)
    def both() -> dict[str, Any]:
        data = graph(name)
        model = filled(Net(CONVOLUTIONS[name](FEATURES, 16), CONVOLUTIONS[name](16, CLASSES)))
        with torch.no_grad():
            out = model.eval()(data)
        losses = supervised(model, data, data.y, lr=5e-3)
        return {"out": out, "losses": losses, "loss_after": model(data), "shown": str(model.first)}


for _name in CONVOLUTIONS:
    of(_name)


@case
def edge_features() -> dict[str, Any]:
    """Weights and features of edges."""
    data = graph("edges")
    weighted = filled(Net(gnn.GCNConv(FEATURES, 16, cached=True), gnn.GraphConv(16, CLASSES), "edge_weight"))
    gated = filled(
        Net(gnn.GATv2Conv(FEATURES, 8, edge_dim=3, add_self_loops=False), gnn.GINEConv(mlp(8, CLASSES), edge_dim=3), "edge_attr")
    )
    networks = {"weighted": weighted, "gated": gated}
    return {f"loss_{name}": supervised(model, data, data.y, lr=5e-3) for name, model in networks.items()}


class Own(MessagePassing):
    """Message passing written by hand, with an edge update."""

    def __init__(self) -> None:
        super().__init__(aggr="add", flow="source_to_target")
        self.lin = torch.nn.Linear(FEATURES, CLASSES, bias=False)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        edge_index, _ = add_self_loops(edge_index, num_nodes=x.size(0))
        row, col = edge_index
        deg = degree(col, x.size(0), dtype=x.dtype)
        norm = deg.pow(-0.5)
        norm = norm[row] * norm[col]
        return self.propagate(edge_index, x=self.lin(x), norm=norm)

    def message(self, x_i: torch.Tensor, x_j: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
        return norm.view(-1, 1) * torch.tanh(x_j - 0.5 * x_i)


@case
def message_passing() -> dict[str, Any]:
    """A layer of one's own, its explanation and hooks."""
    data, model = graph("own"), filled(Own())
    seen: list[Any] = []
    handle = model.register_message_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    out = model(data.x, data.edge_index)
    handle.remove()

    class Called(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, d: Data) -> torch.Tensor:
            return self.inner(d.x, d.edge_index)

    return {"out": out, "messages": seen[0], "losses": supervised(Called(), data, data.y, lr=1e-2)}


@case
def whole_graphs() -> dict[str, Any]:
    """Classification of graphs: batches from a loader, batch norm, pooling of several kinds."""
    graphs = [graph(("whole", i), nodes=8 + i % 5, edges=20) for i in range(24)]
    for i, g in enumerate(graphs):
        g.y = torch.tensor([i % 2])

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = gnn.GCNConv(FEATURES, 16), gnn.SAGEConv(16, 16)
            self.norm1, self.norm2 = gnn.BatchNorm(16), gnn.GraphNorm(16)
            self.lin = torch.nn.Linear(48, 2)

        def forward(self, b: Any) -> torch.Tensor:
            x = torch.relu(self.norm1(self.conv1(b.x, b.edge_index)))
            x = torch.relu(self.norm2(self.conv2(x, b.edge_index), b.batch))
            pools = (gnn.global_mean_pool, gnn.global_max_pool, gnn.global_add_pool)
            return self.lin(torch.cat([pool(x, b.batch) for pool in pools], 1))

    model = filled(Classifier())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    losses: list[float] = []
    for _ in range(4):
        for batch in DataLoader(graphs, batch_size=5, shuffle=False):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(batch), batch.y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    batch = Batch.from_data_list(graphs[:3])
    back = batch.to_data_list()
    return {
        "losses": losses,
        "batch": batch.batch,
        "ptr": batch.ptr,
        "edges": batch.edge_index,
        "back": back[1].x,
        "graphs": batch.num_graphs,
        "shown": str(batch),
    }


@case
def pooling_and_aggregation() -> dict[str, Any]:
    """Aggregations, top-k pooling, attention pooling, set transformers' kin, dense pooling."""
    data = graph("pool")
    batch = (torch.arange(NODES) // 11).long()
    found: dict[str, Any] = {}
    for name in ("sum", "mean", "max", "min", "mul", "var", "std", "median", "softmax", "powermean"):
        positive = data.x.abs() + 0.1 if name == "powermean" else data.x
        found[name] = aggregation_resolver(name)(positive, batch)
    found["lstm"] = filled(gnn.aggr.LSTMAggregation(FEATURES, 6))(data.x, batch)
    found["set2set"] = filled(gnn.aggr.Set2Set(FEATURES, 3))(data.x, batch)
    found["attention"] = filled(gnn.aggr.AttentionalAggregation(torch.nn.Linear(FEATURES, 1)))(data.x, batch)
    found["sort"] = gnn.aggr.SortAggregation(k=4)(data.x, batch)
    found["multi"] = gnn.aggr.MultiAggregation(["mean", "max", "std"])(data.x, batch)
    x, edges, _, kept, perm, score = filled(gnn.TopKPooling(FEATURES, ratio=0.5))(data.x, data.edge_index, batch=batch)
    found.update(topk=x, topk_edges=edges, topk_batch=kept, topk_perm=perm, topk_score=score)
    found["sag"] = filled(gnn.SAGPooling(FEATURES, ratio=0.5))(data.x, data.edge_index, batch=batch)[0]
    dense, mask = to_dense_batch(data.x, batch)
    adjacency = to_dense_adj(data.edge_index, batch)
    assign = filled(torch.nn.Linear(FEATURES, 3))(dense)
    pooled, coarse, link, entropy = gnn.dense_diff_pool(dense, adjacency, assign, mask)
    found.update(dense=dense, mask=mask, adjacency=adjacency, pooled=pooled, coarse=coarse, link=link, entropy=entropy)
    return found


@case
def norms_and_models() -> dict[str, Any]:
    """Normalisations, ready models, jumping knowledge, embeddings."""
    data = graph("norms")
    batch = (torch.arange(NODES) // 11).long()
    found: dict[str, Any] = {}
    for name in (
        "BatchNorm",
        "LayerNorm",
        "InstanceNorm",
        "GraphNorm",
        "PairNorm",
        "MeanSubtractionNorm",
        "DiffGroupNorm",
        "GraphSizeNorm",
    ):
        kind = getattr(gnn, name)
        made = (
            kind(FEATURES, 3)
            if name == "DiffGroupNorm"
            else kind()
            if name in ("PairNorm", "MeanSubtractionNorm", "GraphSizeNorm")
            else kind(FEATURES)
        )
        found[name] = filled(made)(data.x) if name in ("BatchNorm", "DiffGroupNorm") else filled(made)(data.x, batch)
    for name in ("GCN", "GAT", "GraphSAGE", "GIN"):
        model = filled(getattr(gnn, name)(FEATURES, 12, num_layers=2, out_channels=CLASSES, jk="cat"))

        class Called(torch.nn.Module):
            def __init__(self, inner: Any) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, d: Data) -> torch.Tensor:
                return self.inner(d.x, d.edge_index)

        found[f"loss_{name}"] = supervised(Called(model), data, data.y, steps=8, lr=5e-3)
    found["mlp"] = filled(gnn.MLP([FEATURES, 16, 3], norm="layer_norm"))(data.x)
    return found


@case
def autoencoder() -> dict[str, Any]:
    """A graph autoencoder with given negative edges, and a variational one in eval mode."""
    data = graph("auto")
    negative = torch.stack([integers(60, high=NODES, seed="n0"), integers(60, high=NODES, seed="n1")])
    model = filled(gnn.GAE(gnn.GCNConv(FEATURES, 6)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)

    def step(_: int) -> Any:
        optimizer.zero_grad()
        loss = model.recon_loss(model.encode(data.x, data.edge_index), data.edge_index, negative)
        loss.backward()
        optimizer.step()
        return loss.item()

    losses = trained(step)
    z = model.encode(data.x, data.edge_index)
    return {"losses": losses, "loss_z": z, "loss_scores": list(model.test(z, data.edge_index, negative))}


@case
def heterogeneous() -> dict[str, Any]:
    """Two kinds of nodes and their convolutions."""
    data = HeteroData()
    data["user"].x, data["item"].x = normal(10, 6, seed="user"), normal(14, 5, seed="item")
    data["user", "buys", "item"].edge_index = torch.stack([integers(30, high=10, seed="a"), integers(30, high=14, seed="b")])
    data = T.ToUndirected()(data)
    data["item"].y = integers(14, high=3, seed="y")

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = gnn.HeteroConv(
                {("user", "buys", "item"): gnn.SAGEConv((6, 5), 12), ("item", "rev_buys", "user"): gnn.SAGEConv((5, 6), 12)}
            )
            self.second = gnn.HeteroConv({("user", "buys", "item"): gnn.GATConv((12, 12), 3, add_self_loops=False)})

        def forward(self, d: HeteroData) -> torch.Tensor:
            x = {key: value.relu() for key, value in self.first(d.x_dict, d.edge_index_dict).items()}
            return self.second(x, d.edge_index_dict)["item"]

    model = filled(Model())
    out = model(data)
    return {"out": out, "losses": supervised(model, data, data["item"].y, lr=1e-2), "kinds": str(data.metadata())}


@case
def transforms_and_functions() -> dict[str, Any]:
    """Transforms of graphs, and functions of edge lists."""
    data = graph("transform")
    found: dict[str, Any] = {}
    for transform in (
        T.NormalizeFeatures(),
        T.AddSelfLoops(),
        T.GCNNorm(),
        T.Constant(),
        T.Distance(),
        T.Cartesian(),
        T.LocalDegreeProfile(),
        T.OneHotDegree(30),
        T.LineGraph(),
        T.Center(),
        T.NormalizeScale(),
        T.TargetIndegree(),
        T.LargestConnectedComponents(),
    ):
        done = transform(data.clone())
        for key in ("x", "edge_index", "edge_attr", "pos"):
            if getattr(done, key, None) is not None:
                found[f"{type(transform).__name__} {key}"] = getattr(done, key)
    index, weight = get_laplacian(data.edge_index, data.edge_weight, normalization="sym", num_nodes=NODES)
    part, mapped, places, mask = k_hop_subgraph(3, 2, data.edge_index, relabel_nodes=True)
    cut, kept = subgraph(torch.arange(12), data.edge_index, data.edge_weight, relabel_nodes=True)
    dense = to_dense_adj(data.edge_index, edge_attr=data.edge_weight)[0]
    found.update(
        laplacian=index,
        laplacian_weight=weight,
        part=part,
        mapped=mapped,
        places=places,
        mask=mask,
        cut=cut,
        kept=kept,
        dense=dense,
        sparse=dense_to_sparse(dense)[1],
        softmax=softmax(data.edge_weight, data.edge_index[1], num_nodes=NODES),
        undirected=is_undirected(data.edge_index),
        isolated=contains_isolated_nodes(data.edge_index),
        **{
            f"scatter {how}": scatter(data.edge_attr, data.edge_index[0], dim=0, dim_size=NODES, reduce=how)
            for how in ("sum", "mean", "max", "min", "mul")
        },
    )
    return found


if __name__ == "__main__":
    main()

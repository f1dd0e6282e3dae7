"""Floor 7: torch.utils.data and tf.data. Datasets, samplers, the DataLoader and its workers, pipelines. See README.md."""

from monograph.data.collate import default_collate, default_convert
from monograph.data.dataset import ChainDataset, ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset, random_split
from monograph.data.files import (
    Example,
    FixedLenFeature,
    FixedLenSequenceFeature,
    TFRecordWriter,
    VarLenFeature,
    encode_example,
    parse_example,
    parse_single_example,
)
from monograph.data.files.rows import ArrayRows, CsvRows, ImageFolder, JsonLines, ParquetRows, Rows, rows_of
from monograph.data.files.tfrecord import DataLossError
from monograph.data.loader import DataLoader
from monograph.data.pipeline import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, DatasetIterator, Pipeline
from monograph.data.pipeline.files import CsvDataset, TextLineDataset, TFRecordDataset, make_csv_dataset
from monograph.data.sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)  # fmt: skip
from monograph.data.worker import WorkerInfo, get_worker_info

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "ArrayRows",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "CsvDataset",
    "CsvRows",
    "DataLoader",
    "DataLossError",
    "Dataset",
    "DatasetIterator",
    "DistributedSampler",
    "Example",
    "FixedLenFeature",
    "FixedLenSequenceFeature",
    "ImageFolder",
    "IterableDataset",
    "JsonLines",
    "ParquetRows",
    "Pipeline",
    "RandomSampler",
    "Rows",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TFRecordDataset",
    "TFRecordWriter",
    "TensorDataset",
    "TextLineDataset",
    "VarLenFeature",
    "WeightedRandomSampler",
    "WorkerInfo",
    "default_collate",
    "default_convert",
    "encode_example",
    "get_worker_info",
    "make_csv_dataset",
    "parse_example",
    "parse_single_example",
    "random_split",
    "rows_of",
]  # fmt: skip

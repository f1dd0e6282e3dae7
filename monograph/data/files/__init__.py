"""Files of records: TFRecord with its checksums, tf.train.Example, text lines, CSV."""

from __future__ import annotations

from monograph.data.files.example import Example, encode_example, parse_example, parse_single_example
from monograph.data.files.features import FixedLenFeature, FixedLenSequenceFeature, VarLenFeature
from monograph.data.files.tfrecord import TFRecordWriter

__all__ = [
    "Example", "FixedLenFeature", "FixedLenSequenceFeature", "TFRecordWriter", "VarLenFeature", "encode_example", "parse_example",
    "parse_single_example",
]  # fmt: skip

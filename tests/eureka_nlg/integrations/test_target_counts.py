"""Counting the targets of a data set, against counting them one by one."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

datasets = pytest.importorskip("datasets")
pytest.importorskip("safetensors")

from eureka_nlg.errors import UserError  # noqa: E402
from eureka_nlg.integrations.target_counts import TargetCounts, count_targets  # noqa: E402

CLASSES = 30


@pytest.fixture(scope="module")
def rows():
    generator = torch.Generator().manual_seed(5)
    result = []
    for length in [7, 1, 0, 12, 3] * 9:
        labels = torch.randint(-3, CLASSES, (length,), generator=generator)
        labels = labels.where(labels >= 0, -100)
        mask = torch.randint(0, 2, (length,), generator=generator)
        result.append({"labels": labels.tolist(), "completion_mask": mask.tolist()})
    return result


def one_by_one(rows, shift, masked):
    counted = Counter()
    for row in rows:
        for position, (label, kept) in enumerate(zip(row["labels"], row["completion_mask"])):
            if label != -100 and not (shift and position == 0) and (kept or not masked):
                counted[label] += 1
    return [counted[token] for token in range(CLASSES)]


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("kind", ["dataset", "processes", "selected", "stream", "list"])
def test_every_kind_of_data_gives_the_same(kind, shift, masked, rows):
    data, options, expected = datasets.Dataset.from_list(rows), {}, rows
    if kind == "processes":
        options["num_proc"] = 2
    elif kind == "selected":  # an index on top of the table
        data, expected = data.select(range(0, 45, 2)), rows[::2]
    elif kind == "stream":
        data = data.to_iterable_dataset()
    elif kind == "list":
        data = rows
    mask = "completion_mask" if masked else None
    counted = count_targets(data, CLASSES, shift=shift, mask=mask, **options)
    assert counted.counts.tolist() == one_by_one(expected, shift, masked)
    assert counted.num_rows == len(expected)


@pytest.mark.parametrize("shift", [True, False])
def test_batches_of_a_collator(shift, rows):
    labels = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row["labels"]).long() for row in rows], batch_first=True, padding_value=-100
    )
    counted = count_targets([{"labels": labels[:20]}, {"labels": labels[20:]}], CLASSES, shift=shift)
    assert counted.counts.tolist() == one_by_one(rows, shift, masked=False)


def test_class_labels(rows):
    data = datasets.Dataset.from_dict({"labels": [0, 2, 2, 1]})
    assert count_targets(data, 4, shift=False).counts.tolist() == [1, 1, 2, 0]
    assert count_targets([{"labels": 2}], 4, shift=False).counts.tolist() == [0, 0, 1, 0]


def test_class_labels_have_no_first_token_to_leave_out():
    """Of a classifier's rows every label is a target, whatever holds them."""
    labels = [0, 1, 1, -100, 2]
    for data in (datasets.Dataset.from_dict({"labels": labels}), [{"labels": label} for label in labels]):
        assert count_targets(data, 3).counts.tolist() == [1, 2, 1]


def test_a_data_set_that_slices_ends(rows):
    """Beyond its end a slice is empty, and no IndexError."""
    tokens = torch.arange(12) % 4

    class Blocks(torch.utils.data.Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return {"labels": tokens[4 * index : 4 * index + 4]}

    assert count_targets(Blocks(), 4).counts.tolist() == [0, 3, 3, 3]


def test_a_stream_without_end_is_read_up_to_a_limit():
    def endless():
        while True:
            yield {"labels": [0, 1]}

    assert count_targets(endless(), 3, limit=5).counts.tolist() == [0, 5, 0]
    data = datasets.Dataset.from_dict({"labels": [[0, 1]] * 9})
    assert count_targets(data, 3, limit=5).counts.tolist() == [0, 5, 0]


def test_what_is_no_target_is_said(rows):
    data = datasets.Dataset.from_list(rows)
    with pytest.raises(UserError, match="no column targets, only labels"):
        count_targets(data, CLASSES, column="targets")
    with pytest.raises(UserError, match="row 0 has no targets"):
        count_targets(rows, CLASSES, column="targets")
    for source in (data, rows):
        with pytest.raises(UserError, match="is not a class; expected 0 to 3"):
            count_targets(source, 4)
    with pytest.raises(UserError, match="not one target"):
        count_targets([{"labels": [-100, -100]}], 4)
    with pytest.raises(UserError, match="float"):
        count_targets([{"labels": [0.5, 1.0]}], 4)


def test_saved_counts_know_their_data(rows, tmp_path):
    data, path = datasets.Dataset.from_list(rows), tmp_path / "counts.safetensors"
    counted = count_targets(data, CLASSES)
    counted.save(path)
    again = TargetCounts.load(path, count_targets(data, CLASSES).fingerprint)
    assert torch.equal(again.counts, counted.counts)
    assert again.num_rows == counted.num_rows
    for other in (count_targets(data, CLASSES, shift=False), count_targets(data.select(range(9)), CLASSES)):
        with pytest.raises(UserError, match="other data"):
            TargetCounts.load(path, other.fingerprint)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="no file of target counts"):
        TargetCounts.load(path)

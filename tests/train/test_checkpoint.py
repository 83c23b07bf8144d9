"""The files of a run: of older versions, damaged, and finished."""

import csv
import io
import re

import pytest
from small import small_net

import kanji_np as kj
from kanji_np import archive
from kanji_np.errors import FileFormatError, OptionError
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL

from .runs import DATA, trained


def test_a_checkpoint_that_does_not_say_its_loss_is_resumed(
    run_directory, model_bytes, capsys
):
    header, arrays = archive.read(run_directory / CHECKPOINT, "kanji_np checkpoint")
    del header["settings"]["loss"]
    header["settings"]["averaging"] = "0.9980"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    with pytest.raises(OptionError, match="averaging 0.9980, not 0.998"):
        trained(directory=run_directory, resume=True)
    header["settings"]["averaging"] = "0.998"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    capsys.readouterr()
    trained(directory=run_directory, resume=True)
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert re.search("with loss unknown: .* cannot be told", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("former", "other", "same", "message"),
    [
        ("gradients", "'bfloat16'", "'float32'", "gradients 'bfloat16', not 'float32'"),
        ("targets", "'inputs'", "'labels'", "reproduce_inputs True, not False"),
    ],
)
def test_a_checkpoint_with_a_setting_of_before(
    run_directory, model_bytes, capsys, former, other, same, message
):
    """That is gone, or has another name: a run goes on if it was as it is now."""
    header, arrays = archive.read(run_directory / CHECKPOINT, "kanji_np checkpoint")
    del header["settings"]["reproduce_inputs"]
    header["settings"] |= {"targets": "'labels'", former: other}
    archive.write(run_directory / CHECKPOINT, header, arrays)
    with pytest.raises(OptionError, match=f"{message}$"):
        trained(directory=run_directory, resume=True)
    header["settings"][former] = same
    archive.write(run_directory / CHECKPOINT, header, arrays)
    capsys.readouterr()
    trained(directory=run_directory, resume=True)
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert "cannot be told" not in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "model"])
def test_a_damaged_checkpoint_is_refused_and_left_as_it_is(run_directory, damage):
    path = run_directory / CHECKPOINT
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "model":
        small_net().save(run_directory / "other.npz")
        (run_directory / "other.npz").replace(path)
    else:
        path.write_bytes(
            {
                "cut": whole[:middle],
                "flip": whole[:middle]
                + bytes([whole[middle] ^ 1])
                + whole[middle + 1 :],
                "empty": b"",
                "text": b"text",
            }[damage]
        )
    damaged = path.read_bytes()
    with pytest.raises(FileFormatError, match=re.escape(str(path))) as caught:
        trained(directory=run_directory, resume=True)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == damaged


def test_a_checkpoint_of_another_version_is_refused(run_directory):
    path = run_directory / CHECKPOINT
    header, arrays = archive.read(path, "kanji_np checkpoint")
    for name in [name for name in arrays if name.startswith(("slot/", "average/"))]:
        archive.write(path, header, {k: v for k, v in arrays.items() if k != name})
        with pytest.raises(FileFormatError, match="not a checkpoint of this version"):
            trained(directory=run_directory, resume=True)
    del header["history"]
    archive.write(path, header, arrays)
    with pytest.raises(FileFormatError, match="not a checkpoint of this version"):
        trained(directory=run_directory, resume=True)


def test_a_finished_run_has_its_history_and_its_model(tmp_path):
    net, history = trained(directory=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [CHECKPOINT, HISTORY, MODEL]
    text = (tmp_path / HISTORY).read_text()
    assert text == history.csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["precision"] for row in rows] == ["fp32", "int8", "int8"]
    assert float(rows[-1]["train_loss"]) == history.epochs[-1].train_loss
    assert float(rows[-1]["validation_accuracy"]) == net.evaluate(DATA)
    assert kj.load(tmp_path / MODEL).freeze().digest() == net.freeze().digest()

"""A model key is hidden wherever it stands, and files of others stay as they are."""

import os

import pytest

from components.core.tao.key import Key


@pytest.mark.parametrize(
    ("value", "text", "hidden"),
    [
        ("tlt_encode", "tlt_encode", "$TRAINYARD_TAO_KEY"),
        ("tlt_encode", "model_tlt_encode_2", "model_$TRAINYARD_TAO_KEY_2"),
        ("YARD", "YARD of $TRAINYARD_TAO_KEY", "$TRAINYARD_TAO_KEY of $TRAINYARD_TAO_KEY"),
        ("abc", "abc abcd", "$TRAINYARD_TAO_KEY abcd"),
        ("", "text", "text"),
    ],
)
def test_a_key_of_four_characters_is_hidden_inside_of_words_too(value, text, hidden):
    assert Key(value).hidden(text) == hidden


def test_text_files_lose_the_key_and_what_is_linked_to_keeps_its_bytes(tmp_path):
    folder = tmp_path / "results"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_bytes(b"- encryption_key=secret\r\n\xff")
    (folder / "model.hdf5").write_bytes(b"secret")
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    os.link(outside, folder / "hard.txt")
    (folder / "soft.txt").symlink_to(outside)
    Key("secret").hide_below(folder)
    told = (folder / ".hydra" / "overrides.yaml").read_bytes()
    assert told == b"- encryption_key=$TRAINYARD_TAO_KEY\r\n\xff"
    assert (folder / "hard.txt").read_text() == "$TRAINYARD_TAO_KEY"
    assert outside.read_text() == "secret"
    assert (folder / "model.hdf5").read_bytes() == b"secret"

"""Where the door may stand, and who is let in by a file of tokens."""

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumers.door.serve import Door
from consumers.door.terms import door_terms
from consumers.door.tokens import main
from radstream.settings import Settings
from schemas.errors import SettingInvalid
from tests.unit.consumers.door.site import TERMS, opened


def settings(**changed: str) -> Settings:
    """Read settings of no environment but this."""
    return Settings.from_environment({"RADSTREAM_STATE_DIR": "/nowhere"} | changed)


def test_beyond_loopback_it_asks_for_tokens() -> None:
    """Refused with the way out; with tokens it may stand there."""
    beyond = {"RADSTREAM_PREDICT_ADDRESS": "0.0.0.0"}  # noqa: S104 - what is refused

    with pytest.raises(SettingInvalid, match=r"RADSTREAM_PREDICT_TOKENS.*consumers\.door\.tokens"):
        door_terms(settings(**beyond))
    assert door_terms(settings(**beyond, RADSTREAM_PREDICT_TOKENS="/file")).tokens == Path("/file")


@pytest.mark.parametrize(("workers", "decoding"), [("1", 1), ("2", 1), ("8", 7)])
def test_one_decoder_is_left_to_the_log(workers: str, decoding: int) -> None:
    """Where there is more than one."""
    shares = door_terms(settings(RADSTREAM_DECODE_WORKERS=workers)).shares

    assert (shares.decoding, shares.under_way) == (decoding, decoding + 2)


@pytest.mark.parametrize("text", ["name", "name:", "name:00", ":" + 64 * "0", "name:" + 64 * "x"])
def test_a_line_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    """By its number; never by what stands there."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# who\n\n{text}\n")

    with pytest.raises(SettingInvalid, match="line 3 is not name:hash"):
        Door(replace(TERMS, tokens=tokens), CollectorRegistry())


def test_a_file_that_is_missing_is_named() -> None:
    """Before the port is taken."""
    with pytest.raises(SettingInvalid, match="RADSTREAM_PREDICT_TOKENS=/nowhere can't be read"):
        Door(replace(TERMS, tokens=Path("/nowhere")), CollectorRegistry())


def test_a_made_token_is_let_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its line goes into the file, itself to the asker; the file doesn't hold it."""
    assert main(["console"]) == 0
    said = capsys.readouterr()
    tokens = tmp_path / "tokens"
    tokens.write_text(said.out)

    with opened(tokens) as site:
        assert site.predict("2.0", Authorization=f"Bearer {said.err.strip()}").status == 200
    assert said.err.strip() not in tokens.read_text()


@pytest.mark.parametrize("words", [[], ["a:b"], ["a", "b"]])
def test_a_wrong_call_says_how(words: list[str]) -> None:
    """Exit status 2."""
    assert main(words) == 2

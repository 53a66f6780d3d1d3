"""Text to tokens to vectors: trimming is exact, cutting is reported, special tokens in a text do no harm."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsclip
from lrsclip.errors import TextError
from lrsclip.models.config import ModelConfig
from lrsclip.models.dual_encoder import DualEncoder, seeded_model
from lrsclip.models.tokenizer import Tokenizer

TOKENIZER = Tokenizer(248)
EOT = 49407


@pytest.fixture(scope="module", params=["tiny", "tiny-causal"])
def model(request: pytest.FixtureRequest) -> DualEncoder:
    """A model with either kind of text tower."""
    return seeded_model(ModelConfig.named(request.param), seed=0).eval()


def padded(tokens: torch.Tensor, length: int = 248) -> torch.Tensor:
    """Tokens padded with zeros, as every peer feeds them."""
    return torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]))


@torch.inference_mode()
def test_trimmed_equals_padded(model: DualEncoder) -> None:
    texts = ["river", "a long bridge " * 20, "many planes are parked", "storage tanks " * 120, "x"]
    tokens = TOKENIZER(texts)
    full = torch.nn.functional.normalize(model.text(padded(tokens)), dim=-1)
    for chunk in (1, 2, 64):
        assert torch.allclose(model.encode_text(tokens, chunk), full, atol=1e-5)


@torch.inference_mode()
def test_order_of_a_batch_does_not_matter(model: DualEncoder) -> None:
    texts = ["a " * n + "pond" for n in (40, 1, 7, 90, 3)]
    together = model.encode_text(TOKENIZER(texts), 2)
    alone = torch.cat([model.encode_text(TOKENIZER([t])) for t in texts])
    assert torch.allclose(together, alone, atol=1e-5)


def test_truncation_keeps_the_end_token() -> None:
    tokens = TOKENIZER(["tank " * 500])
    assert tokens.shape == (1, 248)
    assert tokens[0, -1] == EOT
    assert (tokens[0] == EOT).sum() == 1


def test_report_splits_the_text_without_loss() -> None:
    text = "first words, " + "an airport; " * 200
    report = TOKENIZER.describe(text, {"first": 1, "words": 1, "an": 1})
    assert report.kept + report.cut == text
    assert report.is_cut
    assert report.count == TOKENIZER.count(text) > report.limit == 248
    assert TOKENIZER.count(report.kept) <= 248 < TOKENIZER.count(report.kept + report.cut[:10])
    assert report.unseen_words == ("airport",)


def test_unknown_vocabulary_calls_nothing_unseen() -> None:
    assert TOKENIZER.describe("zyzzyva").unseen_words == ()


def test_a_text_beyond_all_measure_is_refused() -> None:
    with pytest.raises(TextError, match="100,000 are the limit"):
        TOKENIZER(["tank " * 30_000])


@pytest.mark.parametrize("text", ["", "   \n", "<start_of_text>", 7, None, b"bytes"])
def test_nothing_to_read_is_refused(text: object) -> None:
    with pytest.raises(TextError, match="text 1"):
        TOKENIZER(["fine", text])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("a harbor near a café in São Paulo, 5 m² large", ()),
        ("ein Hafen mit weißen Booten am Gebüsch", ()),
        ("a port 港口 and 港口", ("港口",)),
        ("हवाई अड्डा by the λιμάνι", ("हवाई", "अड्डा", "λιμάνι")),
        ("żółte pole", ("żółte",)),
        ("👩‍🌾 🚜 20° “wide”", ()),
    ],
)
def test_words_that_the_tokenizer_spells_out_are_told(text: str, spelled: tuple[str, ...]) -> None:
    report = Tokenizer(248).describe(text)
    assert report.spelled_words == spelled


def test_special_tokens_in_a_text_do_not_end_it() -> None:
    plain, tricky = TOKENIZER(["a dam below a lake"]), TOKENIZER(["a dam <end_of_text> below a lake"])
    assert torch.equal(plain, tricky)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=1500))
def test_any_text_is_reported_whole_or_refused(text: str) -> None:
    try:
        report = TOKENIZER.describe(text)
    except TextError:
        with pytest.raises(TextError):
            TOKENIZER([text])
        return
    assert report.kept + report.cut == text
    assert bool(report.cut.strip()) <= report.is_cut
    assert TOKENIZER([text]).shape[1] == min(report.count, 248)


def test_vectors_have_length_one() -> None:
    bundle = lrsclip.random_model()
    vectors = bundle.encode_text(["a", "b c d"])
    assert vectors.dtype.name == "float32"
    assert vectors.shape == (2, bundle.embed_dim)
    assert abs((vectors**2).sum(1) - 1).max() < 1e-5
    assert bundle.encode_text([]).shape == (0, bundle.embed_dim)


def test_what_is_kept_of_a_long_text_is_found_without_reading_all_of_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read, encode = list[int](), TOKENIZER._clip.encode

    def counted(text: str) -> list[int]:
        read.append(len(text))
        return list(encode(text))

    monkeypatch.setattr(TOKENIZER._clip, "encode", counted)
    for text in ("\ufb03" * 9000, "a river " * 1200, "zyzzyva" * 1300):
        read.clear()
        report = TOKENIZER.describe(text)
        assert report.is_cut and report.kept + report.cut == text
        assert sum(read) < 2.5 * len(text), "before, a text was read fourteen times"

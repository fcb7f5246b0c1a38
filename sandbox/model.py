"""A language model of eleven megabytes: nonsense from the real server, a millisecond a token.

The weights are random, from a fixed seed, so the same file comes out everywhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from inventory.errors import HearthError
from inventory.paths import cache_dir

if TYPE_CHECKING:
    from pathlib import Path

    import gguf

SEED = 7
BLOCKS, WIDTH, HEADS, FEED, CONTEXT = 4, 256, 4, 512, 512
BYTES = 256
WORDS = (
    *("the", "home", "lab", "hearth", "answers", "warm", "fire", "light"),
    *("stone", "river", "cloud", "tree", "bread", "song", "road", "night"),
)
CONTROL, NORMAL, UNKNOWN, BYTE = 3, 1, 2, 6
TOKENS = 320
WORDS_AND_LETTERS = TOKENS - BYTES - 3


def tiny_model() -> Path:
    """The model's file, written at the first call.

    Raises:
        HearthError: The package that writes it is not installed.
    """
    path = cache_dir() / "sandbox" / f"tiny-{SEED}-{TOKENS}-{WIDTH}-{BLOCKS}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        write_model(partial)
        partial.replace(path)
    return path


def vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Tokens with their scores and types: markers, every byte, some words."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{value:02X}>" for value in range(BYTES))]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * BYTES]
    words = [f"▁{word}" for word in WORDS]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz", *".,?!"]
    rest = [*words, *letters]
    rest += [f"▁w{number}" for number in range(TOKENS - len(tokens) - len(rest))]
    return [*tokens, *rest], [-float(i) for i in range(TOKENS)], [*types, *[NORMAL] * len(rest)]


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of the llama architecture, rows first."""
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (TOKENS, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (TOKENS, WIDTH),
    }
    for block in range(BLOCKS):
        square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
        parts: dict[str, tuple[int, ...]] = {
            **square,
            "attn_norm": (WIDTH,),
            "ffn_norm": (WIDTH,),
            "ffn_gate": (FEED, WIDTH),
            "ffn_up": (FEED, WIDTH),
            "ffn_down": (WIDTH, FEED),
        }
        found |= {f"blk.{block}.{name}.weight": shape for name, shape in parts.items()}
    return found


def write_model(path: Path) -> None:
    """Write the model's file."""
    try:
        import gguf  # noqa: PLC0415 - an extra, needed only when the file is first written
        import numpy as np  # noqa: PLC0415
    except ImportError as error:
        raise HearthError(
            f"sandbox: a package is missing ({error.name}); "
            "install it: pip install 'hearth[sandbox]'"
        ) from error
    writer = gguf.GGUFWriter(str(path), "llama")
    describe(writer)
    random = np.random.default_rng(SEED)
    for name, shape in shapes().items():
        values = np.ones(shape) if len(shape) == 1 else random.normal(0, 0.08, shape)
        if name == "output.weight":
            # It speaks in words, and hardly ever ends by itself: markers and bytes stay unlikely.
            values *= 3
            values[: TOKENS - WORDS_AND_LETTERS] = 0
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: gguf.GGUFWriter) -> None:
    """Write the model's figures and its tokenizer."""
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(BLOCKS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(TOKENS)
    writer.add_file_type(0)
    tokens, scores, types = vocabulary()
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

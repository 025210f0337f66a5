"""Load a teacher from wherever it is: a GGUF file in a Python package, a folder, a Hugging Face id.

A GGUF file is converted once: reading it takes twenty seconds, reading what it was converted to one.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from tasks.ml.models import save_model, tiny_random_model
from tasks.ml.teacher_source import RANDOM, locate, not_found

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = {"pad_token": "<|endoftext|>", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
LONGEST = 2048  # tokens; the conversion leaves 1e30


def load_teacher(source: str, revision: str, cache: Path) -> tuple[Any, PreTrainedTokenizerBase]:
    """Load model and tokeniser, in fp32 and frozen, so that copies for inference share its weights.

    Args:
        source: `package:NAME`, a path, a Hugging Face id, or `random:tiny`.
        revision: Of a Hugging Face id.
        cache: Folder for converted GGUF files.

    Raises:
        TeacherNotFound: There is no such model here.
    """
    tokenizer = load_teacher_tokenizer(source, revision, cache)
    if source.startswith(RANDOM):
        return tiny_random_model(tokenizer, seed=0).eval().requires_grad_(False), tokenizer
    with _could_be_loaded(source):
        place = _place(source, cache)
        model = AutoModelForCausalLM.from_pretrained(place, revision=revision, dtype=torch.float32)
    return model.eval().requires_grad_(False), tokenizer


def teacher_outline(source: str, revision: str, cache: Path) -> Any:
    """The teacher without its weights, for those who ask for its shape alone; see `load_teacher`."""
    if source.startswith(RANDOM):
        return tiny_random_model(byte_tokenizer(), seed=0)
    with _could_be_loaded(source):
        config = AutoConfig.from_pretrained(_place(source, cache), revision=revision)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def load_teacher_tokenizer(source: str, revision: str, cache: Path) -> PreTrainedTokenizerBase:
    """Load the tokeniser alone; see `load_teacher`."""
    transformers_logging.disable_progress_bar()
    if source.startswith(RANDOM):
        return byte_tokenizer()
    with _could_be_loaded(source):
        return ready_tokenizer(AutoTokenizer.from_pretrained(_place(source, cache), revision=revision))


def _place(source: str, cache: Path) -> Path | str:
    """What `from_pretrained` is told."""
    path = locate(source)
    if path is None:
        return source
    return converted(path, cache) if path.suffix == ".gguf" else path


@contextmanager
def _could_be_loaded(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        remedy = "Check the id; without a network only models in the local cache can be loaded."
        raise not_found(
            f"`{source}`, which could not be loaded ({error})", "a causal language model", remedy
        ) from error


def converted(gguf: Path, cache: Path) -> Path:
    """The Hugging Face folder made of a GGUF file, by the digest of its content; made if need be.

    fp16 keeps every argmax of the Q4_1 file; bf16 changes one in twenty.
    """
    target = cache / _digest(gguf)[:32]
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=cache))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float16,
        )
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        restore_digit_splitting(tokenizer, gguf)
        save_model(scratch, model, tokenizer)
        os.replace(scratch, target)
    except OSError:
        if not target.is_dir():  # another process may have been faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def restore_digit_splitting(tokenizer: PreTrainedTokenizerBase, gguf: Path) -> None:
    """Cut digits one by one where the file says so: the converter forgets the `smollm` pre-tokeniser."""
    from gguf import GGUFReader

    field = GGUFReader(gguf).fields.get("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def ready_tokenizer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Give a tokeniser what stages need: a chat template, a length, a padding token that is not the stop."""
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = min(tokenizer.model_max_length, LONGEST)
    if tokenizer.pad_token_id in (None, tokenizer.eos_token_id) and tokenizer.unk_token is not None:
        tokenizer.pad_token = tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokeniser of single bytes with the chat form's special tokens, for random models."""
    names = [*SPECIALS.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=CHAT_TEMPLATE, model_max_length=LONGEST, **SPECIALS
    )


def _digest(path: Path) -> str:
    hasher = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.hexdigest()

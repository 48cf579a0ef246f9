"""vLLM behind the interface, its engine played by transformers: positions, ends, refusals.

The engine here gives what vLLM gives, in its shape: no step before the first token, each step the
top k and the token that stands there, the ending token among those generated. `make test-vllm` runs
the real one.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from measure import backends, functional, models, prompts, rollouts, run, sources, vllm_model
from measure.backends import Backend
from measure.errors import BadInput, OutOfMemory
from measure.functional import K
from measure.problems import Problem, ProblemSet

ROWS = [[1, 2, 3, 4], [9], [7, 200, 3]]


@dataclass
class Value:
    logprob: float


class PlayedEngine:
    """One text at a time, without cache or padding."""

    def __init__(self, model, batches, fails_on=None):
        self.model, self.batches, self.fails_on = model, batches, fails_on

    def generate(self, prompts, sampling_params, *, use_tqdm):
        assert not use_tqdm
        self.batches.append(len(prompts))
        if self.fails_on is not None:
            raise self.fails_on
        return [
            self._output(prompt["prompt_token_ids"], asked)
            for prompt, asked in zip(prompts, sampling_params, strict=True)
        ]

    def _output(self, ids, asked):
        assert 0 < len(ids) < 512
        given = None
        if (k := getattr(asked, "prompt_logprobs", None)) is not None:
            before = self._logprobs(ids)
            given = [None, *(step(before[p - 1], k, ids[p]) for p in range(1, len(ids)))]
        new, steps = [], []
        rng = np.random.default_rng(getattr(asked, "seed", 0))
        for _ in range(asked.max_tokens):
            last = self._logprobs([*ids, *new])[-1]
            token = int(last.argmax())
            if getattr(asked, "temperature", 1.0) > 0:
                token = int(rng.choice(len(last), p=last.double().softmax(0).numpy()))
            wanted = getattr(asked, "logprob_token_ids", None)
            steps.append(
                {t: Value(float(last[t])) for t in wanted}
                if wanted
                else step(last, getattr(asked, "logprobs", 0), token)
            )
            new.append(token)
            if token in getattr(asked, "stop_token_ids", ()):
                break
        made = SimpleNamespace(token_ids=new, logprobs=steps)
        return SimpleNamespace(prompt_logprobs=given, outputs=[made])

    @torch.inference_mode()
    def _logprobs(self, ids):
        return self.model.model(torch.tensor([ids])).logits[0].float().log_softmax(-1)


def step(logprobs, k, token):
    """The top k and the token itself, in no order."""
    best = logprobs.topk(k).indices.tolist() if k else []
    return {t: Value(float(logprobs[t])) for t in reversed([*best, token])}


@pytest.fixture(scope="module")
def ours(model_folder):
    return models.load(sources.find(str(model_folder("llama", 3))), device="cpu")


@pytest.fixture
def played(ours, model_folder, monkeypatch):
    """A model behind the played engine, what engines were made with, and the batches they ran."""
    made, batches = [], []

    def engine(**arguments):
        made.append(arguments)
        return PlayedEngine(ours, batches)

    api = SimpleNamespace(LLM=engine, SamplingParams=SimpleNamespace)
    monkeypatch.setattr(vllm_model, "api", lambda: api)
    monkeypatch.setattr(vllm_model, "refuse_other_device", lambda device: None)
    monkeypatch.setattr(backends, "find_spec", lambda name: name)
    source = sources.find(str(model_folder("llama", 3)))
    model = Backend("vllm").load(source, device="cpu", dtype="float32", batch_size=4)
    batches.clear()  # the token that is run to see whether it can be
    return SimpleNamespace(model=model, made=made, batches=batches, api=api, source=source)


def test_it_is_told_as_the_same_model(ours, played):
    assert played.model.card == ours.card
    assert (played.model.eos_ids, played.model.max_tokens) == (ours.eos_ids, ours.max_tokens)


def test_greedy_texts(ours, played):
    expected = ours.continue_greedily(ROWS, K + 1, 12)
    found = played.model.continue_greedily(ROWS, K + 1, 12)
    assert [one.new_ids for one in found] == [one.new_ids for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.top.shape == (len(one.new_ids), K + 1)
        gaps = functional.gaps_of(other.top)
        np.testing.assert_allclose(functional.gaps_of(one.top), gaps, atol=2e-4)


def test_the_ending_token_is_no_part_of_a_text(played):
    played.model._eos_ids = frozenset(range(257))  # whatever comes ends it
    found = played.model.continue_greedily(ROWS, K + 1, 12)
    assert [(one.new_ids, len(one.top)) for one in found] == [([], 0)] * 3
    rngs = [np.random.default_rng(i) for i in range(3)]
    assert played.model.sample(ROWS, rngs, [5, 0, 5], 1.0, 1.0) == [
        ([], True), ([], False), ([], True),
    ]  # fmt: skip


def test_given_texts_by_position(ours, played):
    """First, middle and last tokens, a text without any, and one that fills all positions."""
    full = np.random.default_rng(0).integers(0, 256, 512).tolist()
    texts = [([1, 2, 3, 4, 5], [1, 3, 4]), ([9], []), ([7, 8], [1]), (full, [1, 511])]
    for one, other in zip(played.model.logprobs_of(texts), ours.logprobs_of(texts), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    for one, other in zip(
        played.model.top_of(texts, K + 1), ours.top_of(texts, K + 1), strict=True
    ):
        assert one.shape == other.shape
        np.testing.assert_allclose(functional.gaps_of(one), functional.gaps_of(other), atol=2e-4)
    assert played.batches == [3, 3]


def test_a_sample_is_its_own_generators(played):
    def drawn(rows):
        rngs = [np.random.default_rng(i) for i in range(4)][: len(rows)]
        return played.model.sample(rows, rngs, [6] * len(rows), 1.0, 1.0)

    assert drawn([[5], [5], [6]])[:2] == drawn([[5], [5]])
    assert drawn([[5], [5]])[0] != drawn([[5], [5]])[1]


def test_what_the_engine_is_made_with(played):
    (arguments,) = played.made
    wanted = {
        "dtype": "float32", "hf_overrides": {"head_dtype": "float32"}, "max_num_seqs": 4,
        "max_num_batched_tokens": 2048, "enable_prefix_caching": False, "enforce_eager": True,
        "load_format": "safetensors", "trust_remote_code": False, "tensor_parallel_size": 1,
    }  # fmt: skip
    assert {name: arguments[name] for name in wanted} == wanted


def test_options_pass_through(played, tmp_path):
    template = tmp_path / "chat.jinja"
    template.write_text("<{{ messages[0]['content'] }}>")
    backend = backends.parse(
        {
            "backend": "vllm", "tensor_parallel_size": 2, "quantization": "fp8",
            "chat_template": str(template),
        }
    )  # fmt: skip
    model = backend.load(played.source, device="cpu", dtype="bfloat16", batch_size=4)
    arguments = played.made[-1]
    assert arguments["tensor_parallel_size"] == 2
    assert arguments["distributed_executor_backend"] == "mp"
    assert arguments["quantization"] == "fp8"
    assert rollouts.prompt_text(model, "2 + 2?", "{problem}") == ("<2 + 2?>", False)
    with pytest.raises(BadInput, match="quantised weights .fp8.*--dtype bfloat16"):
        backend.load(played.source, device="cpu", dtype="float32", batch_size=4)


def test_a_larger_batch_or_a_failure_makes_the_engine_anew(played):
    texts = [([1, 2], [1])]
    played.model.logprobs_of(texts * 4)
    assert len(played.made) == 1
    played.model.logprobs_of(texts * 5)
    assert [one["max_num_seqs"] for one in played.made] == [4, 5]
    played.model._engine.fails_on = RuntimeError("can't allocate memory")
    with pytest.raises(OutOfMemory) as error:
        played.model.logprobs_of(texts * 3)
    assert error.value.batch_size == 3
    assert len(played.model.logprobs_of(texts)) == 1
    assert len(played.made) == 3


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("only supported for an unquantized lm_head.", r"quantised head.*leave the backend out"),
        (
            "Unsupported:\n head_dim=16",
            r"run by vllm on cpu \(Unsupported: head_dim=16\)",
        ),
    ],
)
def test_what_vllm_cannot_run_is_told_in_one_line(played, said, told):
    played.api.LLM = lambda **_: PlayedEngine(None, [], fails_on=ValueError(said))
    with pytest.raises(BadInput, match=told) as refused:
        Backend("vllm").load(played.source, device="cpu", dtype="bfloat16", batch_size=4)
    assert "\n" not in str(refused.value)


# --- what is chosen -------------------------------------------------------------------------------


def test_without_vllm_it_is_refused_with_what_to_do(monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"vllm is not installed.*cicatrix\[vllm\]"):
        backends.parse({"backend": "vllm"})
    assert backends.parse({}) == Backend("transformers")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"backend": "jax"}, "'jax' is none of transformers, vllm"),
        ({"tensor_parallel_size": 2}, "options of the backend vllm"),
        ({"quantization": "fp8"}, "options of the backend vllm"),
        ({"backend": "vllm", "tensor_parallel_size": 0}, "give at least 1"),
        ({"backend": "vllm", "tensor_parallel_size": "2"}, "no whole number"),
        ({"backend": "vllm", "chat_template": "/no/such.jinja"}, "cannot be read"),
    ],
)
def test_a_choice_that_cannot_be(request_, told):
    with pytest.raises(BadInput, match=told):
        backends.parse(request_)


@pytest.mark.parametrize("methods", [run.METHODS, ("structural",), ("template", "fisher")])
def test_what_needs_states_is_refused(methods):
    bank = prompts.load("canonical40")
    with pytest.raises(BadInput, match=r"reads states, gradients or weights.*`template` alone"):
        run.Settings(bank, bank, methods=methods, backend=Backend("vllm"))
    run.Settings(bank, bank, methods=("template",), backend=Backend("vllm"))


def test_a_model_without_states_is_refused(played):
    with pytest.raises(BadInput, match="this command reads states"):
        backends.with_hooks(played.model, "this command")


def test_backend_and_batch_shape_are_part_of_a_measurement():
    bank = prompts.load("canonical40")
    asked = ProblemSet("one", (Problem("p", "", "1 + 1?", "2"),))
    first, same, other, template = (
        functional.plan("m", bank, backend=backend, batch_size=size)
        for backend, size in (
            (Backend(), 20),
            (backends.TRANSFORMERS, 20),
            (Backend("vllm"), 8),
            (Backend("vllm", chat_template="{{ x }}"), 8),
        )
    )
    assert first.measurement_id == same.measurement_id
    assert len({m.measurement_id for m in (first, other, template)}) == 3
    assert "max_batched_tokens" not in first.options  # nothing of it changed
    row = other.row()
    assert (row["backend"], row["batch_size"]) == ("vllm", 8)
    assert other.options["max_batched_tokens"] == 2048
    drawn = rollouts.plan("m", asked, rollouts.Sampling(), backend=Backend("vllm"))
    assert (drawn.backend, drawn.options["tensor_parallel_size"]) == ("vllm", 1)

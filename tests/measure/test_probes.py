from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import models, probes, sources
from measure.components import Blocks
from measure.errors import BadInput
from measure.probes import accuracies, areas, features_at, membership, probe_accuracies
from tests.conftest import ARCHITECTURES
from tests.measure.handmade import copying, one_term_differs
from tests.measure.tasksets import answered

N_CLASSES = 4


def drawn(n=400, n_classes=N_CLASSES, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(n_classes, size=n), torch.from_numpy(rng.normal(size=(2, n, 6))).float()


def test_a_label_that_stands_there_is_read_and_one_that_does_not_is_not():
    """The first set of features holds the label, the second has nothing to do with it."""
    labels, features = drawn()
    features[0, :, :N_CLASSES] += 8 * torch.eye(N_CLASSES)[labels]
    found = accuracies(features, labels)
    smallest = np.bincount(labels).min()
    assert found.n_train == N_CLASSES * int(0.8 * smallest)
    assert found.n_test == N_CLASSES * (smallest - int(0.8 * smallest))
    assert found.baseline == 1 / 4
    assert found.value.shape == found.control.shape == (2, 5)
    np.testing.assert_array_equal(found.value[0], 1)
    # Four standard errors of one seed's held-out prompts: those of five overlap.
    error = 4 * np.sqrt(0.25 * 0.75 / found.n_test)
    for chance in (found.value[1], found.control[1]):
        assert abs(chance.mean() - 0.25) < error
        assert chance.std() > 0  # seeds differ
    # A control on four clusters names each of them as a whole, by chance right: 5 x 4 of them.
    assert abs(found.control[0].mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 20)


def test_what_is_among_several_is_read_and_what_has_nothing_to_do_with_it_is_not():
    labels, features = drawn()
    others = np.random.default_rng(9).integers(N_CLASSES, size=len(labels))
    members = membership(np.stack([labels, others], axis=1))
    assert members.shape == (400, N_CLASSES)
    assert members.sum(1).tolist() == [1 + int(a != b) for a, b in zip(labels, others, strict=True)]
    features[0, :, :N_CLASSES] += 9 * members.float()
    found = areas(features, members)
    assert (found.n_train, found.n_test, found.baseline) == (320, 80, 0.5)
    assert found.value[0].min() > 0.99
    # The area's standard error is largest when it is 0.5: sqrt((1/m + 1/n) / 12) of a class.
    m = 80 * (1 - (3 / 4) ** 2)
    error = 4 * np.sqrt((1 / m + 1 / (80 - m)) / 12)
    for chance in (found.value[1], *found.control):
        assert abs(chance.mean() - 0.5) < error


def test_an_area_by_hand():
    # Members are scored 2 and 1, others 1 and 0: of four pairs three are right and one is a tie.
    logits = torch.tensor([[[[2.0], [1.0], [1.0], [0.0]]]])
    members = torch.tensor([[True], [True], [False], [False]])
    assert probes._area(logits, members).tolist() == [[3.5 / 4]]
    assert np.isnan(probes._area(logits, torch.ones(4, 1, dtype=torch.bool))).all()


def test_probes_trained_together_are_probes_trained_alone():
    """The other route: one linear layer, one optimiser, one set and seed."""
    labels, features = drawn(n=100)
    features[1, :, 0] += torch.from_numpy(labels).float()
    train, test = np.arange(77), np.arange(77, 100)
    targets = torch.eye(N_CLASSES)[labels]
    found = probes._test_logits(
        features, targets, [train[::-1].copy(), train], [test, test], [5, 3], is_logistic=False
    )
    layer = torch.nn.Linear(6, N_CLASSES)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    rng = np.random.default_rng([3, 1])
    rng.permutation(train)  # the control's
    mean, deviation = features[1, train].mean(0), features[1, train].std(0)
    scaled = (features[1] - mean) / deviation
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(20):
        order = rng.permutation(77)
        for start in range(0, 77, 32):
            batch = train[order[start : start + 32]]
            optimiser.zero_grad()
            target = torch.from_numpy(labels[batch])
            torch.nn.functional.cross_entropy(layer(scaled[batch]), target).backward()
            optimiser.step()
    expected = layer(scaled[test]).detach()
    torch.testing.assert_close(found[0, 1, 1], expected, rtol=1e-3, atol=1e-4)
    assert (found[1, 1, 1] - expected).abs().max() > 1e-2  # the control learnt something else


def test_a_head_that_reads_a_token_has_it_in_its_values(model_folder):
    """Head 0's values at a term are that term; head 1's are nothing: it always says one class."""
    model, task = copying(model_folder), one_term_differs(320)
    rows = list(probe_accuracies(model, task, "value", 0, ["term"], at="term"))
    assert len(rows) == 2 * 5
    assert {r.value for r in rows if r.head == 0} == {1.0}
    assert {r.value for r in rows if r.head == 1} == {1 / 16} == {r.baseline for r in rows}
    assert all(r.control < 0.5 for r in rows)
    assert {(r.site, r.layer, r.read_at, r.label, r.metric) for r in rows} == {
        ("value", 0, "term", "term", "accuracy")
    }


def test_the_stream_after_the_head_holds_which_tokens_there_were(model_folder):
    """At the end layer 0 holds each token of the prompt, not where it stood: the head looks alike
    at all. Before it, at a token, the stream is that token."""
    model, task = copying(model_folder), one_term_differs(320)
    rows = list(probe_accuracies(model, task, "resid_mid", 0, ["term", "other"]))
    assert [r.metric for r in rows] == ["accuracy"] * 10 + ["auroc"] * 5
    assert {r.label for r in rows if r.metric == "auroc"} == {"term+other"}
    assert {r.head for r in rows} == {None}
    assert {r.read_at for r in rows} == {"final"}
    # Two of the eight that are there, of sixteen: a perfect bag of tokens ranks the 8 that are
    # there above the 8 that are not, and cannot tell 2 of the 8 from the other 6. So a member is
    # above all of the 8 absent and above half of the other 6: (8 + 3) / 14.
    areas_ = [r.value for r in rows if r.metric == "auroc"]
    assert np.mean(areas_) == pytest.approx(11 / 14, abs=0.04)
    assert np.mean([r.control for r in rows if r.metric == "auroc"]) == pytest.approx(0.5, abs=0.06)
    at_term = list(probe_accuracies(model, task, "resid_mid", 1, ["term"], at="term"))
    assert np.mean([r.value for r in at_term]) == 1


def test_no_prompt_counts_twice(model_folder):
    model, task = copying(model_folder), one_term_differs(320)
    twice = replace(task, corrupted=np.concatenate([task.corrupted, task.corrupted]))
    once, again = (
        list(probe_accuracies(model, given, "value", 0, ["term"], at="term"))
        for given in (task, twice)
    )
    assert once == again


@torch.inference_mode()
@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_features_are_what_the_whole_model_has_there(model_folder, architecture):
    """The other route: hooks on a whole pass. Between attention and MLP is what the MLP's own norm
    reads, or, where both read one norm, the stream and the attention's output."""
    model = models.load(sources.find(str(model_folder(architecture))), device="cpu")
    ids = torch.from_numpy(answered(model).corrupted)
    block = Blocks(model, ids)._blocks[1]
    caught = {}

    def catch(name, module, is_input):
        def before(_, args, kwargs):
            caught[name] = args[0] if args else kwargs["hidden_states"]

        def after(_, __, output):
            caught[name] = output[0] if isinstance(output, tuple) else output

        if is_input:
            return module.register_forward_pre_hook(before, with_kwargs=True)
        return module.register_forward_hook(after)

    norms = {"gpt2": "ln_2", "gemma2": "pre_feedforward_layernorm",
             "gemma3": "pre_feedforward_layernorm"}  # fmt: skip
    attention = block.layer.get_submodule(block.attention)
    handles = [catch("before", block.layer, True), catch("attention", attention, False)]
    if architecture != "cohere":
        norm = block.layer.get_submodule(norms.get(architecture, "post_attention_layernorm"))
        handles.append(catch("between", norm, True))
    if architecture != "gpt2":
        handles.append(catch("values", attention.v_proj, False))
    model.decoder(input_ids=ids)
    for handle in handles:
        handle.remove()
    found = features_at(model, ids, "resid_mid", 1, 4)
    between = caught.get("between", caught["before"] + caught["attention"])
    torch.testing.assert_close(found[0], between[:, 4], rtol=1e-3, atol=1e-4)
    values = features_at(model, ids, "value", 1, 4)
    assert len(values) == 4
    if architecture != "gpt2":  # two heads share the values of one
        pairs = caught["values"][:, 4].chunk(2, dim=-1)
        for head, value in enumerate(values):
            torch.testing.assert_close(value, pairs[head // 2], rtol=1e-3, atol=1e-4)


def test_too_few_prompts_and_unknown_roles_are_refused(model_folder):
    model, task = copying(model_folder), one_term_differs(12)
    with pytest.raises(BadInput, match="no role 'verb': give one of term, other, final"):
        list(probe_accuracies(model, task, "value", 0, ["verb"]))
    with pytest.raises(BadInput, match="of 12 prompts there are .* the smallest of 1: give more"):
        list(probe_accuracies(model, task, "value", 0, ["term"]))
    with pytest.raises(BadInput, match="of 20 prompts there are 1 classes"):
        accuracies(torch.zeros(1, 20, 3), np.zeros(20, dtype=int))
    with pytest.raises(BadInput, match="of 20 prompts 4 are held out, where no class"):
        areas(torch.zeros(1, 20, 3), torch.ones(20, 2, dtype=torch.bool))

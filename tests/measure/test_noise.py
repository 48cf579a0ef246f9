from dataclasses import replace

import numpy as np
import pytest
import torch

from measure import models, noise, sources
from measure.alignment import align
from measure.circuit_records import NoisePoint
from measure.components import Component
from measure.noise import NoisyBlocks, noise_curve, noise_verdict, observe
from measure.similarity import similarity
from tests.measure.tasksets import answered, gaps


def loaded(folder):
    return models.load(sources.find(str(folder)), device="cpu")


def quiet(_):
    pass


def curve(teacher, student, task, **chosen):
    return list(
        noise_curve(
            observe(teacher, task, quiet), student, task, quiet, has_bos=False,
            why_other_basis=None, **chosen,
        )
    )  # fmt: skip


def test_without_noise_a_copy_is_aligned_with_itself(model_folder):
    model = loaded(model_folder())
    task = answered(model, n=20)
    (point,) = curve(model, model, task, sigmas=[0.0], seeds=[0])
    assert point.alignment == pytest.approx(1)
    assert point.mean_abs_delta_influence == pytest.approx(0, abs=1e-6)
    assert point.mean_ld == pytest.approx(gaps(model, task.clean, task).mean(), rel=1e-4)


def test_without_noise_alignment_is_that_of_the_usual_way(model_folder):
    teacher, student = loaded(model_folder()), loaded(model_folder(seed=1))
    task = answered(teacher, n=20)
    (point,) = curve(teacher, student, task, sigmas=[0.0], seeds=[0])
    one, other = observe(teacher, task, quiet), observe(student, task, quiet)
    alike = similarity(
        (one.patterns, other.patterns), (one.outputs, other.outputs),
        has_bos=False, why_other_basis=None,
    )  # fmt: skip
    # Only here, where what the student says does not matter: it then does the task, as it must.
    able = replace(
        other.sweep, ld_clean=other.sweep.ld_clean + 99, ld_ablated=other.sweep.ld_ablated + 99
    )
    rows = align(one.sweep, able, alike, n_resamples=0).rows
    (row,) = [r for r in rows if (r.normalisation, r.matching) == ("max", "greedy")]
    assert row.reason is None
    assert point.alignment == pytest.approx(row.alignment)
    assert point.mean_similarity == pytest.approx(row.mean_similarity)
    assert point.null_alignment == pytest.approx(row.null_alignment)
    assert "mean logit difference" in point.reason  # a stranger cannot do the teacher's task


def noisy(model, task, sigma, seed=3):
    ids = torch.from_numpy(task.clean)
    blocks = NoisyBlocks(model, ids)
    parts = noise._parts(blocks, ids)
    ones = noise._Draws(*(tuple(map(torch.ones_like, of)) for of in parts))
    blocks.noise = noise._draw(seed, *parts).times(sigma, ones)
    return blocks


def hooked(blocks, removed, means):
    """The other route: noise, and means in place of components, by hooks on the whole model."""
    handles = []
    for layer, block in enumerate(blocks._blocks):
        z, mlp = blocks.noise.z[layer], blocks.noise.mlp[layer]

        def before(_, args, z=z, layer=layer):
            value = args[0] + z
            for component in removed:
                if component.layer == layer and component.is_head:
                    where = blocks.head_slice(layer, component.head)
                    value[:, :, where] = means[0][layer][:, where]
            return (value,)

        def after(_, __, output, mlp=mlp, layer=layer):
            mean = means[1][layer] if removed else None
            return mean.expand_as(output) if Component(layer) in removed else output + mlp

        module = block.layer.get_submodule(block.mlp)
        handles += [
            block.projection.register_forward_pre_hook(before),
            module.register_forward_hook(after),
        ]
    return handles


def means_under_noise(model, blocks, task):
    """By hooks that stand behind those of the noise."""
    handles = hooked(blocks, (), None)
    z, mlp = {}, {}
    for layer, block in enumerate(blocks._blocks):
        module = block.layer.get_submodule(block.mlp)
        handles += [
            block.projection.register_forward_pre_hook(
                lambda _, args, layer=layer: z.update({layer: args[0].mean(0)})
            ),
            module.register_forward_hook(
                lambda _, __, out, layer=layer: mlp.update({layer: out.mean(0)})
            ),
        ]
    gaps(model, task.corrupted, task)
    for handle in handles:
        handle.remove()
    return z, mlp


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma2", "qwen3"])
def test_noisy_ablations_equal_whole_passes_with_hooks(model_folder, architecture):
    model = loaded(model_folder(architecture))
    task = answered(model)
    blocks = noisy(model, task, 0.5)
    found = observe(model, task, quiet, blocks)
    means = means_under_noise(model, blocks, task)
    for component, row in [(None, found.sweep.ld_clean), *zip(blocks.components,
                           found.sweep.ld_ablated, strict=True)]:  # fmt: skip
        handles = hooked(blocks, (component,) if component else (), means)
        expected = gaps(model, task.clean, task)
        for handle in handles:
            handle.remove()
        np.testing.assert_allclose(row, expected, rtol=2e-3, atol=2e-3)
    clean = gaps(model, task.clean, task)
    assert np.abs(found.sweep.ld_clean - clean).max() > 0.05  # the noise did something


@torch.inference_mode()
def test_patterns_and_outputs_are_those_of_the_noisy_run(model_folder):
    """The last layer's patterns times its values are its heads' outputs."""
    model = loaded(model_folder())
    task = answered(model)
    ids = torch.from_numpy(task.clean)
    blocks = noisy(model, task, 0.7)
    found = observe(model, task, quiet, blocks)
    stream = blocks.run(0, blocks.embed(ids))
    values = []
    z = blocks.attend(1, stream, {"v": lambda v: values.append(v) or v})
    for head in range(4):
        own = values[0][:, :, blocks.value_slice(1, head)]
        pattern = torch.from_numpy(found.patterns[:, 4 + head])
        torch.testing.assert_close(
            pattern @ own, z[:, :, blocks.head_slice(1, head)], rtol=1e-3, atol=1e-4
        )
    with_noise = blocks.read(1, stream).mlp
    torch.testing.assert_close(torch.from_numpy(found.outputs[1]), with_noise)
    blocks.noise = None
    usual = observe(model, task, quiet, blocks)
    without = usual.patterns[:, :4]
    np.testing.assert_allclose(found.patterns[:, :4], without, rtol=1e-4, atol=1e-5)  # before any
    assert np.abs(found.patterns[:, 4:] - usual.patterns[:, 4:]).max() > 1e-2
    assert np.abs(found.outputs - usual.outputs).max() > 1e-2


def test_relative_noise_is_as_large_as_what_it_is_added_to(model_folder):
    model = loaded(model_folder())
    with torch.no_grad():  # the first two heads share values, and are now louder than the others
        model.decoder.layers[0].self_attn.v_proj.weight[:4] *= 10
    task = answered(model, n=40)
    ids = torch.from_numpy(task.clean)
    blocks = NoisyBlocks(model, ids)
    z, mlp = noise._parts(blocks, ids)
    added = noise._draw(0, z, mlp).times(2, noise._root_mean_squares(blocks, z, mlp))
    for layer in (0, 1):
        ratio = added.mlp[layer].square().mean().sqrt() / mlp[layer].square().mean().sqrt()
        assert ratio == pytest.approx(2, rel=0.05)
        for head in range(4):
            where = blocks.head_slice(layer, head)
            sizes = [v[:, :, where].square().mean().sqrt() for v in (added.z[layer], z[layer])]
            assert sizes[0] / sizes[1] == pytest.approx(2, rel=0.1)


def test_a_curve_has_a_point_a_seed_and_sigma_and_falls(model_folder):
    model = loaded(model_folder())
    task, heard = answered(model, n=20), []
    points = list(
        noise_curve(
            observe(model, task, quiet), model, task, heard.append, has_bos=False,
            why_other_basis=None, scale="relative", sigmas=[0.0, 0.5, 30.0], seeds=[1, 2],
        )
    )  # fmt: skip
    assert [(p.seed, p.sigma) for p in points] == [
        (seed, sigma) for seed in (1, 2) for sigma in (0.0, 0.5, 30.0)
    ]
    assert sum(heard) == 6 * 10 * 20  # points, components, prompts
    quiet_, loud = points[0], points[2]
    assert quiet_.alignment > loud.alignment
    assert quiet_.reason is None
    assert points[1].alignment != points[4].alignment  # seeds differ
    assert points[0].alignment == points[3].alignment  # without noise they do not
    again = curve(model, model, task, scale="relative", sigmas=[0.5], seeds=[1])
    assert again[0].alignment == pytest.approx(points[1].alignment)


def points_of(alignments, reasons=None, seeds=(0,)):
    return [
        NoisePoint(
            scale="absolute", sigma=sigma, seed=seed, n_prompts=9, mean_ld=1.0, alignment=value,
            mean_similarity=0.9, mean_abs_delta_influence=0.1, null_alignment=0.2,
            reason=(reasons or {}).get(sigma),
        )
        for seed in seeds
        for sigma, value in alignments.items()
    ]  # fmt: skip


def test_a_metric_that_falls_responds():
    verdict = noise_verdict(points_of({0.0: 0.9, 1.0: 0.5, 2.0: 0.2}, {2.0: "fails"}, (0, 1)))
    assert verdict.spearman == pytest.approx(-1)
    assert verdict.responds is True
    assert (verdict.n_sigmas, verdict.n_seeds, verdict.n_sigmas_doing_task) == (3, 2, 2)
    assert (verdict.alignment_at_0, verdict.alignment_at_largest) == (0.9, 0.2)
    assert verdict.spearman_doing_task is None  # of two points there is no order to speak of


@pytest.mark.parametrize(
    ("alignments", "spearman"),
    [
        ({0.0: 0.90, 1.0: 0.89, 2.0: 0.88}, -1.0),  # falls, but by 0.02
        # Ranks 1 2 3 4 against 4 1 3 2: 1 - 6 (9 + 1 + 0 + 4) / (4 x 15).
        ({0.0: 0.9, 1.0: 0.2, 1.5: 0.7, 2.0: 0.5}, -0.4),
        # Ranks 1 2 3 against 3 1.5 1.5: -1.5 / sqrt(2 x 1.5).
        ({0.0: 0.9, 1.0: 0.5, 2.0: 0.5}, -1.5 / 3**0.5),
        ({0.0: 0.2, 1.0: 0.5, 2.0: 0.9}, 1.0),
    ],
)
def test_a_metric_that_hardly_falls_or_in_no_order_does_not(alignments, spearman):
    verdict = noise_verdict(points_of(alignments))
    assert verdict.spearman == pytest.approx(spearman)
    assert verdict.responds is False
    assert verdict.reason is None


@pytest.mark.parametrize(
    ("alignments", "reason"),
    [
        ({0.0: 0.5, 1.0: 0.5, 2.0: 0.5}, "A at 3 sigmas has no order"),
        ({0.0: 0.5, 1.0: None, 2.0: 0.1}, "A is unknown at 1 of 3 sigmas"),
        ({}, "A at 0 sigmas has no order"),
    ],
)
def test_without_an_order_there_is_no_verdict(alignments, reason):
    verdict = noise_verdict(points_of(alignments))
    assert verdict.responds is verdict.spearman is None
    assert verdict.reason == reason

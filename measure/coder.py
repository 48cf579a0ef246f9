"""One crosscoder run: activations of a pair, a crosscoder over them, and what its latents do.

Where records are kept, and how a model comes into memory, a subclass says: a lake, or a file.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, get_args

import numpy as np
from tqdm import tqdm

from measure import (
    crosscoder_jobs,
    crosscoder_training,
    feature_ablation,
    feature_verdicts,
    harvest,
    latent_report,
    models,
    parallelogram,
    problems,
    residual,
    sources,
    steering,
    text_sources,
)
from measure.activations import Activations
from measure.categories import Category
from measure.crosscoder import Crosscoder
from measure.crosscoder_jobs import DESCRIBE, Training
from measure.crosscoding import Crosscoding, Use
from measure.errors import BadInput, OutOfMemory
from measure.feature_records import Side
from measure.harvest import Asked
from measure.models import CausalLM
from measure.prompts import Progress, advance
from measure.records import Record
from measure.request import Measurement, sha256_of
from measure.rollouts import Sampling

# Tokens harvested and times they are read: methods 3 asks 2 to 5 million of a pocket run.
POCKET, WIDE = (400_000, 5), (100_000_000, 1)
N_CONTEXT_TEXTS = 1_500


class Coder(ABC):
    """The state of one run; activations and checkpoints are under `folder`."""

    def __init__(self, chosen: Crosscoding, device: str, folder: Path) -> None:
        self.chosen = chosen
        self.device = device
        self.folder = folder
        self.source = text_sources.load(chosen.text)
        if self.model_id(chosen.base) == self.model_id(chosen.distilled):
            raise BadInput(
                f"{chosen.base!r} and {chosen.distilled!r} are one model: give a base and what was "
                "made of it"
            )
        found = sources.find(chosen.base)
        self.d_model = models.hidden_size(found) or 0
        n_layers = models.shape_of(found)[0]
        layer = residual.middle(n_layers) if chosen.layer is None else chosen.layer
        if layer >= n_layers:
            raise BadInput(
                f"layer {layer} of {chosen.base!r}, which has {n_layers} blocks: give one from 0 "
                f"to {n_layers - 1}"
            )
        usual_tokens, usual_epochs = POCKET if self.is_pocket else WIDE
        self.epochs = chosen.epochs or usual_epochs
        self.asked = Asked(
            base_id=self.model_id(chosen.base),
            distilled_id=self.model_id(chosen.distilled),
            text=self.source.name,
            text_sha256=self.source.sha256,
            layer=layer,
            n_tokens=chosen.tokens or usual_tokens,
            max_length=chosen.max_length,
            dtype=chosen.dtype,
        )
        self.settings = crosscoder_training.settings_for(
            self.d_model,
            self.asked.n_tokens * self.epochs,
            sparsity=chosen.sparsity,
            n_latents=chosen.latents,
            k=chosen.k,
            batch_size=chosen.train_batch,
            lr=chosen.lr,
            seed=chosen.seed,
            is_gpu=device.startswith("cuda"),
        )
        self._pair: tuple[CausalLM, CausalLM] | None = None

    # --- where models and records are ----------------------------------------------------------

    @abstractmethod
    def model_id(self, ref: str) -> str:
        """The id of a model."""

    @abstractmethod
    def model(self, ref: str) -> CausalLM:
        """A model in memory, noted where records are kept."""

    @abstractmethod
    def is_done(self, measurement: Measurement) -> bool:
        """Whether all its units are there."""

    @abstractmethod
    def units_done(self, measurement: Measurement) -> AbstractSet[str]:
        """Its units that are there."""

    @abstractmethod
    def discard(self, measurement: Measurement) -> None:
        """Throw the units of an incomplete measurement away."""

    @abstractmethod
    def rows(self, table: str, measurement_id: str) -> list[dict[str, Any]]:
        """Records of a complete measurement."""

    @abstractmethod
    def keep(self, measurement: Measurement, make: Callable[[str], Sequence[Record]]) -> None:
        """Make each unit that is not there, and keep it."""

    # --- what is asked -------------------------------------------------------------------------

    @property
    def is_pocket(self) -> bool:
        """Whether both models are small enough for the pocket's defaults."""
        return self.d_model <= crosscoder_training.POCKET_WIDTH

    @cached_property
    def coder(self) -> Measurement:
        """The crosscoder's own measurement."""
        kind = self.device.split(":")[0]
        given = (self.asked, self.settings, self.chosen.contexts)
        return crosscoder_jobs.plan(*given, kind, self.chosen.batch_size)

    @property
    def shards(self) -> Path:
        """Where activations are; they may be removed once the crosscoder is described."""
        return self.folder / "activations" / sha256_of(asdict(self.asked))[:16]

    @property
    def checkpoints(self) -> Path:
        """Where training stands."""
        return self.folder / "trained" / self.coder.measurement_id[:16]

    def pair(self) -> tuple[CausalLM, CausalLM]:
        """Both models in memory, known to the lake."""
        if self._pair is None:
            base = self.model(self.chosen.base)
            self._pair = base, self.model(self.chosen.distilled)
            harvest.check_pair(*self._pair, self.asked.layer)
        return self._pair

    # --- the crosscoder ------------------------------------------------------------------------

    def learn(self) -> None:
        """Harvest, train and describe, as far as that is missing."""
        if "crosscoder" in self.chosen.skip or self.is_done(self.coder):
            return
        self.pair()
        self._harvest()
        activations = Activations.open(self.shards)
        training = Training(activations, self.settings, self.checkpoints, self.device)
        self._start_where_a_checkpoint_stands(training)
        with self._bar(self.settings.n_steps, "trains", "step") as progress:

            def make(unit: str) -> Sequence[Record]:
                if unit == DESCRIBE:
                    return self._describe(activations)
                return training.records(unit, progress)

            self.keep(self.coder, make)

    def _harvest(self) -> None:
        batch_size = self.chosen.batch_size
        with self._bar(self.asked.n_tokens, "harvests", "token") as progress:
            while True:
                try:
                    harvest.harvest(
                        *self.pair(),
                        self.source,
                        self.asked,
                        self.shards,
                        batch_size=batch_size,
                        progress=progress,
                    )
                except OutOfMemory as error:
                    if batch_size == 1:
                        raise BadInput(
                            f"the pair does not fit into the memory of {self.device} even one "
                            "window at a time: give a smaller --max-length or dtype"
                        ) from error
                    batch_size //= 2
                else:
                    return

    def _start_where_a_checkpoint_stands(self, training: Training) -> None:
        """Without the checkpoint that the next unit begins at, training begins again."""
        done = self.units_done(self.coder)
        pending = [unit for unit in self.coder.units if unit not in done]
        last = crosscoder_jobs.checkpoint(self.checkpoints, self.settings.n_steps)
        stands = last.is_file() if pending[0] == DESCRIBE else training.can_start(pending[0])
        if done and not stands:
            self.discard(self.coder)

    def _describe(self, activations: Activations) -> list[Record]:
        made = self.crosscoder()
        n_trained = self.settings.n_steps * self.settings.batch_size
        given = (self.pair()[1], n_trained, self.chosen.contexts)
        found = latent_report.report(made, activations, *given)
        return [found.summary, *found.latents, *found.contexts, *found.categories]

    def crosscoder(self) -> Crosscoder:
        """The trained one."""
        return crosscoder_jobs.trained(self.checkpoints, self.d_model, self.settings, self.device)

    # --- what its latents do -------------------------------------------------------------------

    @cached_property
    def latents(self) -> list[dict[str, Any]]:
        """The records of a described crosscoder's latents, by number."""
        found = self.rows("latent", self.coder.measurement_id)
        return sorted(found, key=lambda row: row["latent"])

    @property
    def is_open(self) -> bool:
        """Whether there is a crosscoder whose gates allow that its latents are read."""
        if "crosscoder" in self.chosen.skip:
            return False
        (summary,) = self.rows("crosscoder_summary", self.coder.measurement_id)
        return bool(summary["is_interpretable"])

    def uses(self) -> list[Use]:
        """What is asked for and may be asked: latents of a closed gate are not taken anywhere."""
        is_open = self.is_open
        return [
            use
            for use in get_args(Use)
            if use not in self.chosen.skip and (is_open or use == "parallelogram")
        ]

    def use(self, use: Use) -> None:
        """Ablation, steering or parallelograms, as far as that is missing."""
        plan = self.plan_of(use)
        if plan.units and not self.is_done(plan):
            run = {
                "ablation": self._ablate,
                "steering": self._steer,
                "parallelogram": self._compare,
            }
            run[use](plan)

    def plan_of(self, use: Use) -> Measurement:
        """The measurement of a use; of no unit where there is nothing to do."""
        chosen = self.chosen
        if use == "ablation":
            return crosscoder_jobs.plan_ablation(
                self.coder,
                n_texts=N_CONTEXT_TEXTS,
                n_pairs=chosen.ablation_pairs,
                n_draws=chosen.control_draws,
                batch_size=chosen.batch_size,
            )
        if use == "steering":
            names = [n for i, (j, _) in enumerate(self._to_steer()) for n in _directions(i, j)]
            given = (problems.load(chosen.problems), self._sampling(), tuple(names))
            return crosscoder_jobs.plan_steering(self.coder, *given, max(chosen.batch_size, 64))
        return crosscoder_jobs.plan_geometry(
            dict(self.coder.models), self.asked.layer, self.relations(), chosen.dtype,
            self.coder.device_kind, chosen.batch_size,
        )  # fmt: skip

    def _ablate(self, plan: Measurement) -> None:
        some = islice(self.source.texts(0), N_CONTEXT_TEXTS)
        texts = {f"t{i:05d}": text for i, text in enumerate(some)}
        pair, made = self.pair(), self.crosscoder()
        given = feature_ablation.contexts(pair[0], texts, self.chosen.ablation_pairs)
        nrn, fire_freq = self._column("nrn"), self._column("fire_freq")
        sets = feature_ablation.ablation_sets(nrn, fire_freq, n_draws=self.chosen.control_draws)
        with self._bar(len(given), "ablates", "text") as progress:

            def make(_: str) -> list[Record]:
                effects = list(
                    feature_ablation.effects(
                        pair, made, self.asked.layer, given, sets, plan.batch_size, progress
                    )
                )
                return [*effects, *feature_verdicts.verdicts(effects, sets, fire_freq)]

            self.keep(plan, make)

    def _steer(self, plan: Measurement) -> None:
        asked, sampling = problems.load(self.chosen.problems), self._sampling()
        made, model = self.crosscoder(), self.pair()[1]
        directions: dict[str, steering.Direction] = {}
        for number, (latent, category) in enumerate(self._to_steer()):
            own = steering.direction_of(made, latent, category)
            other = steering.random_direction(self.d_model, category, number)
            directions |= {own.name: own, other.name: other}
        rows = [model.encode(problem.text) for problem in asked.problems]
        mean_norm = residual.mean_norm(model, self.asked.layer, rows, plan.batch_size)
        n_rollouts = len(asked.problems) * sampling.n_samples * len(steering.AMPLITUDES)
        with self._bar(n_rollouts * len(directions), "steers", "rollout") as progress:

            def make(unit: str) -> list[Record]:
                given = (directions[unit], mean_norm, asked, sampling, plan.batch_size, progress)
                return list(steering.sweep(model, self.asked.layer, *given))

            self.keep(plan, make)

    def _sampling(self) -> Sampling:
        return Sampling(
            n_samples=self.chosen.samples,
            max_new_tokens=self.chosen.max_new_tokens,
            plain_prompt=self.chosen.plain_prompt,
        )

    def _to_steer(self) -> list[tuple[int, Category]]:
        """Of each steered category its latent, if it has one."""
        labels = [row["category"] for row in self.latents]
        nrn, largest = self._column("nrn"), self._column("max_activation")
        found: list[tuple[int, Category]] = []
        for category in steering.STEERED:
            latent = steering.latent_to_steer(nrn, largest, labels, category)
            if latent is not None:
                found.append((latent, category))
        return found

    def _compare(self, plan: Measurement) -> None:
        base, distilled = self.pair()
        sides: dict[Side, CausalLM] = {"base": base, "distilled": distilled}
        by_name = {relation.name: relation for relation in self.relations()}
        n_words = sum(len(relation.words) for relation in by_name.values())
        with self._bar(len(sides) * n_words, "compares", "word") as progress:

            def make(unit: str) -> list[Record]:
                relation = by_name[unit]
                given = (relation.words, self.asked.layer, plan.batch_size, progress)
                states: dict[Side, Any] = {
                    side: parallelogram.word_states(model, *given) for side, model in sides.items()
                }
                return [
                    record
                    for n_axes in parallelogram.N_AXES
                    for record in parallelogram.measure(relation, states, n_axes)
                ]

            self.keep(plan, make)

    def relations(self) -> list[parallelogram.Relation]:
        """Those given, or ours: of the zoo's words, where the model is of the zoo."""
        if self.chosen.relations is not None:
            return parallelogram.read_relations(Path(self.chosen.relations))
        is_zoo = sources.find(self.chosen.distilled).kind == "zoo"
        return parallelogram.zoo_relations() if is_zoo else parallelogram.world_relations()

    # --- all of it -----------------------------------------------------------------------------

    def complete(self) -> None:
        """All of it in this process, the first failure raised."""
        self.learn()
        for use in self.uses():
            self.use(use)

    def is_complete(self) -> bool:
        """Whether no model has to run any more."""
        is_described = "crosscoder" in self.chosen.skip or self.is_done(self.coder)
        return is_described and all(
            not plan.units or self.is_done(plan) for plan in map(self.plan_of, self.uses())
        )

    def _column(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Of all latents, NaN where it is not known."""
        values = (row[name] for row in self.latents)
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    @contextmanager
    def _bar(self, total: int, what: str, unit: str) -> Generator[Progress]:
        named = f"{sources.find(self.chosen.distilled).label[:20]:20s} {what:10s}"
        bar: tqdm[NoReturn]
        with tqdm(total=total, desc=named, unit=unit, file=sys.stderr, disable=None) as bar:
            yield lambda n: advance(bar, n)


def _directions(number: int, latent: int) -> tuple[str, str]:
    """Names of a latent's direction and of the random one beside it."""
    return f"latent {latent}", f"random {number}"

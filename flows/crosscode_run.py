"""One crosscoder run: activations of a pair, a crosscoder over them, and what its latents do."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from flows import ledger
from flows.runner import Runner
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
from measure.crosscoder import Crosscoder, Sparsity
from measure.crosscoder_jobs import DESCRIBE, Training
from measure.errors import BadInput, OutOfMemory
from measure.feature_records import Side
from measure.harvest import Asked
from measure.models import CausalLM
from measure.problems import PLAIN_PROMPT, ZOO_SET
from measure.prompts import Progress
from measure.records import Record
from measure.request import Measurement, sha256_of
from measure.rollouts import Sampling
from warehouse.lake import Lake, home

Use = Literal["ablation", "steering", "parallelogram"]
USES: tuple[Use, ...] = ("ablation", "steering", "parallelogram")
# Tokens harvested and times they are read: methods 3 asks 2 to 5 million of a pocket run.
POCKET, WIDE = (400_000, 5), (100_000_000, 1)
N_CONTEXT_TEXTS = 1_500


class Crosscoding(BaseModel):
    """Which pair, and a user's choices for its crosscoder, as JSON; None is the width's default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str
    distilled: str
    text: str = text_sources.ZOO_CORPUS
    layer: int | None = None  # the block, from 0; None: half depth
    n_tokens: int | None = Field(default=None, ge=1)  # harvested
    epochs: int | None = Field(default=None, ge=1)
    max_length: int = Field(default=512, ge=16)
    sparsity: Sparsity = "batchtopk"
    n_latents: int | None = Field(default=None, ge=2)
    k: int | None = Field(default=None, ge=1)
    train_batch: int | None = Field(default=None, ge=1)
    lr: float | None = Field(default=None, gt=0)
    seed: int = Field(default=49, ge=0)
    skip: tuple[Use, ...] = ()
    n_draws: int = Field(default=2, ge=1)  # of the control of ablation
    problems: str = ZOO_SET  # steered on
    n_samples: int = Field(default=1, ge=1)
    max_new_tokens: int = Field(default=160, ge=1)
    plain_prompt: str = PLAIN_PROMPT
    relations: str | None = None  # .json of word pairs, or a folder of them
    dtype: str = "float32"
    device: str | None = None  # None: the first GPU, else the CPU
    batch_size: int = Field(default=32, ge=1)


class Coder(Runner):
    """The state of one run."""

    def __init__(self, lake: Lake, chosen: Crosscoding, device: str) -> None:
        super().__init__(lake, device, chosen.dtype)
        self.chosen = chosen
        self.source = text_sources.load(chosen.text)
        if self.model_id(chosen.base) == self.model_id(chosen.distilled):
            raise BadInput(
                f"{chosen.base!r} and {chosen.distilled!r} are one model: give a base and what was "
                "made of it"
            )
        models.check_dtype(chosen.dtype)
        found = sources.find(chosen.base)
        self.d_model = models.hidden_size(found) or 0
        n_layers = models.shape_of(found)[0]
        layer = residual.middle(n_layers) if chosen.layer is None else chosen.layer
        usual_tokens, usual_epochs = POCKET if self.is_pocket else WIDE
        self.epochs = chosen.epochs or usual_epochs
        self.asked = Asked(
            base_id=self.model_id(chosen.base),
            distilled_id=self.model_id(chosen.distilled),
            text=self.source.name,
            text_sha256=self.source.sha256,
            layer=layer,
            n_tokens=chosen.n_tokens or usual_tokens,
            max_length=chosen.max_length,
            dtype=chosen.dtype,
        )
        self.settings = crosscoder_training.settings_for(
            self.d_model,
            self.asked.n_tokens * self.epochs,
            sparsity=chosen.sparsity,
            n_latents=chosen.n_latents,
            k=chosen.k,
            batch_size=chosen.train_batch,
            lr=chosen.lr,
            seed=chosen.seed,
            is_gpu=device.startswith("cuda"),
        )
        self._pair: tuple[CausalLM, CausalLM] | None = None

    @property
    def is_pocket(self) -> bool:
        """Whether both models are small enough for the pocket's defaults."""
        return self.d_model <= crosscoder_training.POCKET_WIDTH

    @cached_property
    def coder(self) -> Measurement:
        """The crosscoder's own measurement."""
        kind = self.device.split(":")[0]
        return crosscoder_jobs.plan(self.asked, self.settings, kind, self.chosen.batch_size)

    @property
    def shards(self) -> Path:
        """Where activations are; they may be removed once the crosscoder is described."""
        return home() / "crosscoder" / "activations" / sha256_of(asdict(self.asked))[:16]

    @property
    def checkpoints(self) -> Path:
        """Where training stands."""
        return home() / "crosscoder" / "trained" / self.coder.measurement_id[:16]

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
        if self.is_done(self.coder):
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

            self._measure(self.coder, make)

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
        measurement_id = self.coder.measurement_id
        self.lake.plan(self.coder.row(), self.coder.models)
        done = self.lake.units_done(measurement_id)
        pending = [unit for unit in self.coder.units if unit not in done]
        last = crosscoder_jobs.checkpoint(self.checkpoints, self.settings.n_steps)
        stands = last.is_file() if pending[0] == DESCRIBE else training.can_start(pending[0])
        if not stands:
            self.lake.discard_units(measurement_id, self.coder.batch_size)

    def _describe(self, activations: Activations) -> list[Record]:
        made = self.crosscoder()
        n_trained = self.settings.n_steps * self.settings.batch_size
        found = latent_report.report(made, activations, self.pair()[1], n_trained)
        return [found.summary, *found.latents, *found.contexts, *found.categories]

    def crosscoder(self) -> Crosscoder:
        """The trained one."""
        return crosscoder_jobs.trained(self.checkpoints, self.d_model, self.settings, self.device)

    # --- what its latents do -------------------------------------------------------------------

    @property
    def summary(self) -> dict[str, Any]:
        """The crosscoder's row: gates and figures."""
        return self._rows("crosscoder_summary")[0]

    def uses(self) -> list[Use]:
        """What is asked for and may be asked: latents of a closed gate are not taken anywhere."""
        is_open = self.summary["is_interpretable"]
        return [
            use
            for use in USES
            if use not in self.chosen.skip and (is_open or use == "parallelogram")
        ]

    def use(self, use: Use) -> None:
        """Ablation, steering or parallelograms, as far as that is missing."""
        plan = self._plan_of(use)
        if plan.units and not self.is_done(plan):
            run = {
                "ablation": self._ablate,
                "steering": self._steer,
                "parallelogram": self._compare,
            }
            run[use](plan)

    def _plan_of(self, use: Use) -> Measurement:
        """Its measurement; of no unit where there is nothing to do."""
        chosen = self.chosen
        if use == "ablation":
            return crosscoder_jobs.plan_ablation(
                self.coder,
                n_texts=N_CONTEXT_TEXTS,
                n_pairs=feature_ablation.N_PAIRS,
                n_draws=chosen.n_draws,
                batch_size=chosen.batch_size,
            )
        if use == "steering":
            names = [n for i, (j, _) in enumerate(self._to_steer()) for n in _directions(i, j)]
            given = (problems.load(chosen.problems), self._sampling(), tuple(names))
            return crosscoder_jobs.plan_steering(self.coder, *given, max(chosen.batch_size, 64))
        return crosscoder_jobs.plan_geometry(
            dict(self.coder.models), self.asked.layer, self._relations(), chosen.dtype,
            self.coder.device_kind, chosen.batch_size,
        )  # fmt: skip

    def _ablate(self, plan: Measurement) -> None:
        some = islice(self.source.texts(0), N_CONTEXT_TEXTS)
        texts = {f"t{i:05d}": text for i, text in enumerate(some)}
        pair, made = self.pair(), self.crosscoder()
        given = feature_ablation.contexts(pair[0], texts)
        nrn, fire_freq = self._column("nrn"), self._column("fire_freq")
        sets = feature_ablation.ablation_sets(nrn, fire_freq, n_draws=self.chosen.n_draws)
        with self._bar(len(given), "ablates", "text") as progress:

            def make(_: str) -> list[Record]:
                effects = list(
                    feature_ablation.effects(
                        pair, made, self.asked.layer, given, sets, plan.batch_size, progress
                    )
                )
                return [*effects, *feature_verdicts.verdicts(effects, sets, fire_freq)]

            self._measure(plan, make)

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

            self._measure(plan, make)

    def _sampling(self) -> Sampling:
        return Sampling(
            n_samples=self.chosen.n_samples,
            max_new_tokens=self.chosen.max_new_tokens,
            plain_prompt=self.chosen.plain_prompt,
        )

    def _to_steer(self) -> list[tuple[int, Category]]:
        """Of each steered category its latent, if it has one."""
        labels = [row["category"] for row in self._rows("latent")]
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
        by_name = {relation.name: relation for relation in self._relations()}
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

            self._measure(plan, make)

    def _relations(self) -> list[parallelogram.Relation]:
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
        return self.is_done(self.coder) and all(
            not plan.units or self.is_done(plan) for plan in map(self._plan_of, self.uses())
        )

    def _measure(self, plan: Measurement, make: Callable[[str], Sequence[Record]]) -> None:
        self.n_new_units += ledger.measure_by_unit(
            self.lake, plan, make, ref=self.chosen.distilled, device=self.device
        )

    def _rows(self, table: str) -> list[dict[str, Any]]:
        order = "latent" if table == "latent" else "measurement_id"
        found = self.lake.query(
            f"select * exclude (measurement_id) from {table} where measurement_id = ? "
            f"order by {order}",
            [self.coder.measurement_id],
        )
        return found.to_dicts()

    def _column(self, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Of all latents, NaN where it is not known."""
        values = (row[name] for row in self._rows("latent"))
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    @contextmanager
    def _bar(self, total: int, what: str, unit: str) -> Generator[Progress]:
        label = sources.find(self.chosen.distilled).label[:20]
        bar: tqdm[NoReturn]
        with tqdm(total=total, desc=f"{label:20s} {what:10s}", unit=unit, disable=None) as bar:
            yield lambda n: ledger.advance(bar, n)


def _directions(number: int, latent: int) -> tuple[str, str]:
    """Names of a latent's direction and of the random one beside it."""
    return f"latent {latent}", f"random {number}"

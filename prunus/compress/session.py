# SPDX-License-Identifier: Apache-2.0
"""A run of compression from a model to a compressed one and its report.

Needs torch and transformers.
"""

import contextlib
import json
import shutil
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from prunus import __version__
from prunus.golden.hdp.config import HdpConfig
from prunus.golden.hdp.linear.cost import Product, chain_cost

from ..errors import InputError
from ..evaluate.core import Evaluator
from ..evaluate.metrics import METRICS, difference_interval, interval
from ..evaluate.tasks import Columns, Task
from ..files import make_directory, publish, put_directory, write_files
from ..models.coded import CodedLinear, write_layers
from ..models.model import open_model
from ..train.distil import divergence
from ..train.thresholds import digest
from .assign import Assignment, Option, assign, cheapest_loss, options_of, uniform
from .chain import Form
from .cost import Cost, Energy, edp, form_cost
from .distil import Distiller
from .fit import Stack, Target, fit
from .forms import dense_form, forms, svd
from .kinds import REPORT, RULES
from .layers import CompressedLinear
from .pareto import Candidate, Estimates, candidates, stacked
from .settings import Settings
from .student import freeze, plan_of, student
from .texts import Lesson, Teacher, Texts, divided, moments

__all__ = ["Chosen", "Session", "Survey", "Trained"]

MOMENTS = 1024          # texts that moments are taken of
PROBED = 256            # texts that each weight's loss is measured on
PROBE = 4               # times fewer products, of the weight that is tried
GAINS = tuple(2 ** (n / 4) for n in range(41))        # tried for a loss: 1 to 1024
PART = 32               # tokens that go through a chain together
LONGER = (128,)         # tokens that costs are told for, too
SHARES = tuple(2 ** (-n / 8) for n in range(49))      # of products, that are tried for all alike
HALVINGS = 14
# Predicted loss, in nats of what the model says, at which training leaves a loss of X (points of
# accuracy, hundredths of a correlation, percent of perplexity): the first number times X to the
# power of the second. That of accuracy is below what two runs of MiniLM on SST-2 came to, 0.20 at
# 0.5 points and 0.24 at 0.7; a point of accuracy is taken for two hundredths; the last is a guess.
TRUST = {"accuracy": (0.24, 0.5), "mcc": (0.17, 0.5), "perplexity": (0.02, 1.0)}
# What a descent wins over an estimate at most.
DESCENT_WINS = 0.7
Told = Callable[[str, int, int, str], None]


def _products(form: Form, rows: int, held_x: bool, held_y: bool) -> list[Product]:
    """The jobs of a form; X or Y may be held beyond it, and a table then makes Y."""
    last = len(form.steps) - 1
    return [Product(rows=count, k=step.k, span=step.n, groups=step.groups, bits=step.bits,
                    held_x=number > 0 or held_x, held_y=number < last or held_y,
                    table=number == last and held_y)
            for number, (step, count) in enumerate(zip(form.steps, form.rows(rows), strict=True))]


def worth(target: Target, rows: int, config: HdpConfig, energy: Energy, kinds: Sequence[str],
          bits: Sequence[int]) -> list[str]:
    """The kinds of forms that may beat two factors somewhere.

    Fits of tensors take their time, so that those kinds are left out of which no form comes near
    the error that two factors have at its cost, not even with what a descent may win.
    """
    if "svd" not in kinds:
        return list(kinds)
    n, k = target.weight.shape
    estimates = Estimates(target)

    def points(names: Sequence[str]) -> list[tuple[float, float]]:
        return [(edp(form_cost(form, rows, config), energy), estimates.of(form))
                for form in forms(n, k, names, bits)]

    known = sorted(points(("dense", "svd")))
    costs = [cost for cost, _ in known]
    least = np.minimum.accumulate([error for _, error in known])

    def nears(kind: str) -> bool:
        for cost, error in points((kind,)):
            place = bisect_right(costs, cost) - 1
            if place >= 0 and DESCENT_WINS * error < least[place]:
                return True
        return False

    return [kind for kind in kinds if kind in ("dense", "svd") or nears(kind)]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The form of a layer or of a stack, with its factors.

    Members
    -------
    names : tuple of str
    form : Form
    weights : list of ndarray
    bias : ndarray
        What is added to the layer's.
    error : float
        Of its outputs, before any training.
    """

    names: tuple[str, ...]
    form: Form
    weights: list[np.ndarray]
    bias: np.ndarray
    error: float


@dataclass(frozen=True, eq=False)
class Survey:
    """What the weights of a model could become.

    Members
    -------
    targets : dict of str to Target
    sensitivity : dict of str to float
    found : dict of tuple of str to list of Candidate
        Of weights and of stacks.
    """

    targets: dict[str, Target]
    sensitivity: dict[str, float]
    found: dict[tuple[str, ...], list[Candidate]]

    @property
    def options(self) -> list[Option]:
        return [option for names, some in self.found.items()
                for option in options_of(names, some, self.sensitivity)]


@dataclass(frozen=True, eq=False)
class Trained:
    """A student at the end.

    Members
    -------
    model : Model
    layers : dict of tuple of str to CompressedLinear
    functions, chains : dict of str to str
        As of :func:`.student.student`.
    losses : list of float
        Of each epoch.
    """

    model: Any
    layers: dict[tuple[str, ...], CompressedLinear]
    functions: dict[str, str]
    chains: dict[str, str]
    losses: list[float]


def _read_chosen(path: Path, belongs: dict[str, Any]) -> tuple[list[Chosen], float]:
    try:
        state = torch.load(path, weights_only=True)
        differ = [name for name, value in belongs.items() if state["belongs"].get(name) != value]
        chosen = [Chosen(tuple(one["names"]), Form.of_plain(json.loads(one["form"])),
                         [weight.numpy() for weight in one["weights"]], one["bias"].numpy(),
                         one["error"]) for one in state["chosen"]]
    except Exception as err:     # whatever unpickling a damaged file comes to
        raise InputError(f"search {str(path)!r} cannot be read ({type(err).__name__}): say "
                         f"--fresh to start anew") from None
    if differ:
        raise InputError(f"search {str(path)!r} belongs to a run with other {', '.join(differ)}: "
                         f"continue with its settings and files, or say --fresh")
    return chosen, state["predicted"]


class Session:
    """A model, its texts, and what it is to become.

    Parameters
    ----------
    model, data : Path
    dev : Path or None
        Texts that nothing is chosen by.
    task : Task
    columns : Columns
    length : int or None
    settings : Settings
    config : HdpConfig
        Of the coprocessor.
    energy : Energy
    rows : int or None
        Tokens of a text that costs are counted for; None takes the mean of the data.
    work : Path
        Folder of what a run that was stopped goes on from.
    fresh : bool
        Nothing is gone on from.
    told : callable, optional
        Called with what is being done, steps done, all steps, and a word on them.
    """

    def __init__(self, model: Path, data: Path, dev: Path | None, task: Task, *,
                 columns: Columns, length: int | None, settings: Settings, config: HdpConfig,
                 energy: Energy, rows: int | None, work: Path, fresh: bool = False,
                 told: Told | None = None):
        self.path, self.data, self.dev, self.task = model, data, dev, task
        self.columns, self.length, self.settings = columns, length, settings
        self.config, self.energy, self.work, self.told = config, energy, work, told
        self.evaluator = self._open(model, data)
        count = len(self.evaluator)
        if settings.held > count // 2:
            raise InputError(f"data {str(data)!r} must have at least {2 * settings.held} texts, "
                             f"twice those that --held-out keeps back, not {count}")
        self.fit, self.held = divided(count, settings.held, settings.seed)
        self.tried = {"held_out": self._held(self.evaluator)}
        if dev is not None:
            self.tried["dev"] = self._open(model, dev)
        self.texts = Texts(self.evaluator, self.fit)
        self.rows = rows or round(sum(self.texts.lengths) / len(self.texts))
        self.teacher = self.evaluator.model.model
        with torch.no_grad(), self.evaluator.model.by_itself():
            self.plan = plan_of(self.teacher, self.texts.batch([0]))
        if not self.plan.places:
            raise InputError(f"model {str(model)!r} must have linear layers in its blocks whose "
                             f"sizes are multiples of 8, and has none")
        self.belongs = {"model": digest(model), "data": digest(data), "task": task.name,
                        "columns": [columns.text, columns.pair, columns.label],
                        "length": self.evaluator.model.length, "rows": self.rows,
                        "preset": config.name, "energy": asdict(energy),
                        "version": __version__}
        if fresh:
            shutil.rmtree(work, ignore_errors=True)
        make_directory(work)

    @property
    def bare(self) -> Energy:
        """Of what is on the chip: budgets are on that."""
        return self.energy.bare

    def _open(self, model: Path, data: Path) -> Evaluator:
        return Evaluator(model, self.task, data, columns=self.columns, length=self.length)

    def _held(self, evaluator: Evaluator) -> Evaluator:
        """The texts that no step sees."""
        some = evaluator.on()
        some.texts = [evaluator.texts[n] for n in self.held]
        some.labels = tuple(evaluator.labels[n] for n in self.held) if evaluator.labels else ()
        return some

    def _say(self, what: str, done: int = 0, total: int = 0, note: str = "") -> None:
        if self.told:
            self.told(what, done, total, note)

    # -- the search ------------------------------------------------------------------------------
    def targets(self) -> dict[str, Target]:
        """Weights with the moments of their inputs."""
        self._say("moments of inputs")
        names = list(self.plan.places)
        with self.evaluator.model.by_itself():
            seen = moments(self.teacher, [names[0] for names in self.plan.stacks],
                           self.texts.alike(MOMENTS))
        first = {name: names[0] for names in self.plan.stacks for name in names}
        return {name: Target(self.teacher.get_submodule(name).weight.detach().double().numpy(),
                             *seen[first[name]]) for name in names}

    def sensitivity(self, targets: dict[str, Target]) -> dict[str, float]:
        """Of each weight: how far the model goes from what it says, by the error of its output."""
        found = {}
        batches = list(self.texts.alike(PROBED))
        with torch.no_grad(), self.evaluator.model.by_itself():
            want = [Lesson(self.teacher, batch, hidden=False).logits for batch in batches]
            for number, (name, target) in enumerate(targets.items()):
                self._say("losses of weights", number, len(targets))
                n, k = target.weight.shape
                rank = max(8, round(n * k / (n + k) / PROBE / 8) * 8)
                close = fit(svd(n, k, rank), target)
                layer = self.teacher.get_submodule(name)
                kept = layer.weight.data
                layer.weight.data = torch.tensor(
                    close.weights[1] @ close.weights[0], dtype=torch.float32)
                bias = torch.tensor(close.bias, dtype=torch.float32)
                handle = layer.register_forward_hook(
                    lambda module, given, y, bias=bias: y + bias)
                try:
                    apart = sum(float(divergence(old, Lesson(self.teacher, batch,
                                                             hidden=False).logits)) * len(old)
                                for old, batch in zip(want, batches, strict=True))
                finally:
                    handle.remove()
                    layer.weight.data = kept
                found[name] = max(0.0, apart) / sum(map(len, want)) / max(close.error, 1e-9)
        return found

    def dense(self, bits: int = 8) -> dict[tuple[str, ...], Form]:
        """The model as it is, its weights in codes; those with the same inputs as one."""
        return {names: dense_form(sum(self.plan.places[name].n for name in names),
                                  self.plan.places[names[0]].k, bits)
                for names in self.plan.stacks}

    def cost(self, forms: Mapping[tuple[str, ...], Form], rows: int | None = None,
             chains: Mapping[str, str] | None = None, fused: bool = True) -> Cost:
        """Of all layers, for the tokens of one text, by the specification's model.

        A text is taken in parts, so that all that lies between jobs can be held. ``chains`` are
        layers whose X is held, and the layers before them. Unless ``fused`` nothing is held.
        """
        chains = chains or {}
        rows = rows or self.rows
        parts = [PART] * (rows // PART) + [rows % PART] * (rows % PART > 0)
        jobs = [product for names, form in forms.items() for part in parts
                for product in _products(form, part, names[0] in chains,
                                         names[0] in chains.values())]
        if not fused:
            jobs = [replace(job, held_x=False, held_y=False) for job in jobs]
        return Cost(**asdict(chain_cost(jobs, self.config)))

    def candidates(self, targets: dict[str, Target], sensitivity: dict[str, float],
                   bits: Sequence[int], kinds: Sequence[str],
                   ) -> dict[tuple[str, ...], list[Candidate]]:
        """Pareto sets of the weights, and of stacks of those with the same inputs."""
        found: dict[tuple[str, ...], list[Candidate]] = {}
        for number, (name, target) in enumerate(targets.items()):
            self._say("forms of weights", number, len(targets))
            found[(name,)] = candidates(
                target, self.rows, self.config, self.energy, bits=bits,
                names=worth(target, self.rows, self.config, self.energy, kinds, bits))
        for number, names in enumerate(stack for stack in self.plan.stacks if stack[1:]):
            self._say("forms of stacks", number, len(self.plan.stacks))
            shares = [max(sensitivity[name], 1e-9) for name in names]
            stack = Stack(tuple(targets[name] for name in names), tuple(shares))
            found[names] = stacked(stack, self.rows, self.config, self.energy, bits=bits)
        return found

    def survey(self, bits: Sequence[int], kinds: Sequence[str]) -> Survey:
        """Forms of all weights with what they cost and lose."""
        targets = self.targets()
        sensitivity = self.sensitivity(targets)
        found = self.candidates(targets, sensitivity, bits, kinds)
        self._say("assignment")
        return Survey(targets, sensitivity, found)

    def search(self, gain: float | None, loss: float, bits: Sequence[int],
               kinds: Sequence[str], rule: str = RULES[0]) -> tuple[list[Chosen], float]:
        """A form for each weight, and the loss that is predicted.

        Parameters
        ----------
        gain : float or None
            How many times lower energy times cycles are to be; None takes the most that is
            predicted to lose no more than ``loss``.
        rule : str
            Of :data:`.kinds.RULES`: what the forms are chosen by.
        """
        if rule == "uniform":
            assert gain is not None
            targets = self.targets()
            return self.alike(targets, self.sensitivity(targets), gain, min(bits))
        return self.pick(self.survey(bits, kinds), gain, loss, bits, rule)

    def pick(self, survey: Survey, gain: float | None, loss: float, bits: Sequence[int],
             rule: str = RULES[0]) -> tuple[list[Chosen], float]:
        """As :meth:`search`, of a survey with these bits."""
        options = survey.options
        whole = self.cost(self.dense(), None, self.plan.chains)
        if gain is None:
            scale, power = TRUST[self.task.metric]
            best = self._most(options, whole, scale * loss**power)
        elif rule == "products":
            best = self._by_products(options, whole, gain)
        else:
            best = assign(options, whole, self.bare, gain)
        if best is None:
            raise self._beyond(gain or GAINS[0], bits)
        chosen = []
        for option in best.options:
            one = next(one for one in survey.found[option.weights] if one.form == option.form)
            chosen.append(Chosen(option.weights, one.form, list(one.fit.weights), one.fit.bias,
                                 one.error))
        return chosen, best.loss

    @staticmethod
    def _beyond(gain: float, bits: Sequence[int]) -> InputError:
        return InputError(f"--edp must be within what the forms reach with --weights "
                          f"int{min(bits)}, and {gain:g} is not")

    def alike(self, targets: Mapping[str, Target], sensitivity: Mapping[str, float], gain: float,
              bits: int) -> tuple[list[Chosen], float]:
        """Two factors for each weight, all with about the same share of its products."""
        shapes = {name: (place.n, place.k) for name, place in self.plan.places.items()}
        whole = self.cost(self.dense(), None, self.plan.chains)
        for share in SHARES:
            forms = uniform(shapes, share, bits)
            ours = self.cost({(name,): form for name, form in forms.items()}, None,
                             self.plan.chains)
            if edp(whole, self.bare) / edp(ours, self.bare) >= gain:
                break
        else:
            raise self._beyond(gain, [bits])
        return self.fitted(forms, targets, sensitivity)

    @staticmethod
    def fitted(forms: Mapping[str, Form], targets: Mapping[str, Target],
               sensitivity: Mapping[str, float]) -> tuple[list[Chosen], float]:
        """Forms that somebody chose, with their factors, and the loss that is predicted."""
        chosen = []
        for name, form in forms.items():
            close = fit(form, targets[name])
            chosen.append(Chosen((name,), form, list(close.weights), close.bias, close.error))
        return chosen, sum(sensitivity[one.names[0]] * one.error for one in chosen)

    def _by_products(self, options: Sequence[Option], whole: Cost,
                     gain: float) -> Assignment | None:
        """The least loss within as many products as reach the gain: what counting these alone
        finds."""
        prices = [float(option.cost.products) for option in options]
        low, high, best = 0.0, float(whole.products), None
        for _ in range(HALVINGS):
            limit = (low + high) / 2
            found = cheapest_loss(options, prices, limit)
            if found is not None and found.gain(whole, self.bare) >= gain:
                best, low = found, limit
            elif found is None:
                low = limit
            else:
                high = limit
        return best

    def _most(self, options: Sequence[Option], whole: Cost, allowed: float) -> Assignment | None:
        """The greatest gain of those tried whose predicted loss is within what is allowed."""
        low, high = 0, len(GAINS)       # those below low are within it
        best = assign(options, whole, self.bare, GAINS[0])
        while low < high:
            middle = (low + high) // 2
            found = assign(options, whole, self.bare, GAINS[middle])
            if found is not None and found.loss <= allowed:
                best, low = found, middle + 1
            else:
                high = middle
        return best

    def chosen(self, gain: float | None, loss: float, bits: Sequence[int],
               kinds: Sequence[str], rule: str) -> tuple[list[Chosen], float]:
        """As :meth:`search`, or what a run that was stopped has found."""
        path = self.work / "chosen.pt"
        belongs = {**self.belongs, "seed": self.settings.seed, "held": self.settings.held,
                   "gain": gain, "loss": loss if gain is None else None, "bits": list(bits),
                   "kinds": list(kinds), "rule": rule}
        if path.exists():
            return _read_chosen(path, belongs)
        chosen, predicted = self.search(gain, loss, bits, kinds, rule)
        state = {"belongs": belongs, "predicted": predicted, "chosen": [
            {"names": list(one.names), "form": json.dumps(one.form.plain()), "error": one.error,
             "weights": [torch.tensor(weight) for weight in one.weights],
             "bias": torch.tensor(one.bias)} for one in chosen]}
        write_files({path: lambda file: torch.save(state, file)})
        return chosen, predicted

    # -- training --------------------------------------------------------------------------------
    def train(self, chosen: Sequence[Chosen]) -> Trained:
        """Distil to the end, from where a run like this was stopped."""
        model = open_model(self.path)
        layers, functions, chains = student(
            model.model, self.plan,
            {one.names: (one.form, one.weights, one.bias) for one in chosen})
        with self.evaluator.model.by_itself(), model.by_itself():
            self._say("what the model says")
            distiller = Distiller(
                model.model, Teacher(self.teacher, self.texts), self.texts, self.settings,
                chains=chains, path=self.work / "checkpoint.pt",
                belongs={**self.belongs, "forms": [
                    [list(one.names), json.dumps(one.form.plain())] for one in chosen]})
            distiller.resume()
            told = self.told
            distiller.run(None if told is None else (
                lambda done, total, note: told("distillation", done, total, note)))
        return Trained(model, layers, functions, chains, distiller.losses)

    # -- the result ------------------------------------------------------------------------------
    def run(self, target: Path, *, gain: float | None, loss: float, bits: Sequence[int],
            kinds: Sequence[str], rule: str, command: str) -> dict[str, Any]:
        """From the search to the compressed model; its report."""
        try:
            chosen, predicted = self.chosen(gain, loss, bits, kinds, rule)
        except InputError:
            with contextlib.suppress(OSError):      # it holds something
                self.work.rmdir()
            raise
        trained = self.train(chosen)
        report = self.export(trained, target, {
            "command": command, "model": self.path.resolve().name, "sha256": digest(self.path),
            "data": self.data.name, "task": self.task.name, "preset": self.config.name,
            "settings": asdict(self.settings), "asked": {
                "edp": gain, "max_loss": None if gain else loss, "bits": list(bits),
                "forms": list(kinds), "search": rule},
            "predicted_divergence": predicted, "losses": trained.losses,
            "texts": {"learned_from": len(self.fit), "held_out": len(self.held),
                      "held_out_numbers": self.held},
            "layers": [self._layer(one) for one in chosen]})
        shutil.rmtree(self.work, ignore_errors=True)
        return report

    def _layer(self, one: Chosen) -> dict[str, Any]:
        form = one.form
        places = [self.plan.places[name] for name in one.names]
        return {"names": list(one.names), "form": form.name, "n": form.n, "k": form.k,
                "shape": [list(part) for part in form.shape], "rank": list(form.rank),
                "steps": len(form.steps), "bits": form.steps[0].bits, "products": form.products,
                "products_share": form.products / sum(p.n * p.k for p in places),
                "parameters": form.parameters, "error": one.error}

    def export(self, trained: Trained, target: Path, report: dict[str, Any]) -> dict[str, Any]:
        """Write the compressed model, whole or not at all, with its report; returns that."""
        # In the folder of the run: what is left there by a power cut goes with it.
        work = self.work / "export"
        made = work / "model"
        try:
            shutil.rmtree(work, ignore_errors=True)
            made.mkdir(parents=True)
            coded = freeze(trained.model.model, trained.layers)
            trained.model.save(made)
            write_layers(made, coded, trained.functions)
            report = {**report, **self._costs(coded, trained), "quality": self._quality(made)}
            (made / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
            publish(made)
            put_directory(made, target)
        except OSError as err:
            raise InputError(f"output {str(target)!r} cannot be written: "
                             f"{err.strerror or err}") from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return report

    def _costs(self, coded: dict[tuple[str, ...], CodedLinear],
               trained: Trained) -> dict[str, Any]:
        """What the layers cost, against dense ones of int8 on the same coprocessor."""
        forms = {names: layer.form for names, layer in trained.layers.items()}
        energy, bare = self.energy, self.bare
        found = {}
        for rows in dict.fromkeys((self.rows, *LONGER)):
            dense = self.cost(self.dense(), rows, self.plan.chains)
            ours = self.cost(forms, rows, trained.chains)
            apart = self.cost(forms, rows, fused=False)
            found[str(rows)] = {
                "edp_ratio": edp(dense, bare) / edp(ours, bare),
                "edp_ratio_with_memory": edp(dense, energy) / edp(ours, energy),
                **{name: {"cycles": cost.cycles, "energy_joules": bare.of(cost),
                          "energy_joules_with_memory": energy.of(cost),
                          "read_bytes": cost.read_bytes, "write_bytes": cost.write_bytes,
                          "products": cost.products}
                   for name, cost in (("dense_int8", dense), ("compressed", ours),
                                      ("compressed_unfused", apart))}}
        first = found[str(self.rows)]
        return {"tokens": self.rows, "edp_ratio": first["edp_ratio"],
                "edp_ratio_with_memory": first["edp_ratio_with_memory"],
                "nanojoules": {"array_cycle": energy.rates.array, "other_cycle": energy.rates.idle,
                               "byte": energy.rates.byte},
                "memory_picojoules_per_bit": energy.bit_pj,
                "costs": found,
                "parameters": {"dense": sum(form.parameters for form in self.dense().values()),
                               "compressed": sum(form.parameters for form in forms.values())},
                "weight_bytes": {
                    "dense_int8": sum(form.weight_bytes for form in self.dense().values()),
                    "compressed": sum(form.weight_bytes for form in forms.values())}}

    def _quality(self, made: Path) -> dict[str, Any]:
        """The metric before and after, of what is written and on what no step saw."""
        found = {}
        measure = METRICS[self.task.metric]
        for name, before in self.tried.items():
            data = self.dev if name == "dev" and self.dev else self.data
            pupil = self._open(made, data)
            if name == "held_out":
                pupil = self._held(pupil)
            self._say(f"{self.task.metric}, {name}")
            old, new = before.items(None), pupil.items(None)
            relative = self.task.metric == "perplexity"
            low, high = difference_interval(measure, old, new, relative)
            ones = np.ones(len(old))
            first, second = float(measure(ones, old)), float(measure(ones, new))
            lost = 100 * ((second - first) / first if relative else first - second)
            edges = sorted((100 * low, 100 * high) if relative else (-100 * low, -100 * high))
            found[name] = {
                "data": data.name, "texts": len(old),
                "metric": self.task.metric, "before": first,
                "before_interval": list(interval(measure, old)), "after": second,
                "after_interval": list(interval(measure, new)), "lost": lost,
                "lost_interval": edges}
        return found

"""Scores of queries by other people's libraries, a process each: `peer_scores.py SETTING JOB`.

`softmax`: regression 784 -> 10 on 1,000 examples, trained by 200 full-batch steps; `mlp`:
784-128-64-10 on 5,000 examples, 400 steps of 50; both for 500 queries, on numbers drawn instead of
images. `gpt`: a transformer of 2 layers of 64 on 1,000 windows of 64 bytes of eight authors, 62
steps of 16, for 100 queries. All as in our own program `score_process`. Settings are each library's
own where ours do not ask otherwise.
"""

import gzip
import json
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from gpt_step import Gpt

warnings.filterwarnings("ignore")

QUERIES = 500
SETTINGS = {"softmax": ([784, 10], 1_000, 200, 1_000), "mlp": ([784, 128, 64, 10], 5_000, 400, 50)}
"""Widths, training rows, steps and batch."""

TEXTS = Path(__file__).resolve().parent.parent / "datasets/data/eight_authors_x250.jsonl.gz"
POSITIONS, VOCABULARY, TEXT_ROWS, TEXT_QUERIES, TEXT_BATCH = 64, 256, 1_000, 100, 16


class Setting:
    """A trained network of dense layers, its data and five of its checkpoints."""

    def __init__(self, name):
        widths, rows, steps, batch = SETTINGS[name]
        draw = lambda count: (torch.rand(count, 784) * 2 - 1, torch.randint(10, (count,)))
        self.train, self.queries = TensorDataset(*draw(rows)), TensorDataset(*draw(QUERIES))
        layers = []
        for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            layers += [nn.Tanh()] if index else []
            layers.append(nn.Linear(inputs, outputs))
        self.model, self.last = nn.Sequential(*layers), str(len(layers) - 1)
        optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
        self.checkpoints = []
        for step in range(steps):
            features, labels = self.train[torch.randint(rows, (batch,))]
            optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(features), labels).backward()
            optimizer.step()
            if (step + 1) % (steps // 5) == 0:
                self.checkpoints.append({k: v.clone() for k, v in self.model.state_dict().items()})
        self.model.eval()

    def loader(self, data, batch=500):
        return DataLoader(data, batch_size=batch)


def windows(count):
    """Whole windows of documents and the bytes that follow, shuffled; byte 0 stands before each."""
    found = []
    with gzip.open(TEXTS, "rt") as lines:
        for line in lines:
            tokens = [0, *json.loads(line)["text"].encode()]
            starts = range(0, len(tokens) - POSITIONS, POSITIONS)
            found += [tokens[start:start + POSITIONS + 1] for start in starts]
    chosen = torch.tensor(found)[torch.randperm(len(found))[:count]]
    return TensorDataset(chosen[:, :-1], chosen[:, 1:])


class TextSetting:
    """A trained transformer and its texts."""

    def __init__(self, _name):
        data = windows(TEXT_ROWS + TEXT_QUERIES)
        part = lambda rows: TensorDataset(*data[rows])
        self.train, self.queries = part(slice(TEXT_ROWS)), part(slice(TEXT_ROWS, None))
        self.model = Gpt(2, 64, 4, VOCABULARY)
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, weight_decay=0.01)
        for batch in DataLoader(self.train, batch_size=TEXT_BATCH, shuffle=True):
            optimizer.zero_grad()
            text_losses(self.model(batch[0]), batch[1]).mean().backward()
            optimizer.step()
        self.model.eval()


def text_losses(logits, targets):
    """Mean loss of each window's tokens."""
    return nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1)


def loss_of(model):
    """dattri's losses are functions of parameters and a batch."""
    def loss(parameters, data):
        outputs = torch.func.functional_call(model, parameters, data[0])
        return nn.functional.cross_entropy(outputs, data[1].flatten())
    return loss


def loss_of_one(model):
    """And of one example."""
    def loss(parameters, data):
        outputs = torch.func.functional_call(model, parameters, data[0].unsqueeze(0))
        return nn.functional.cross_entropy(outputs, data[1].reshape(1))
    return loss


def dattri_task(setting, loss):
    """The model and a loss."""
    from dattri.task import AttributionTask

    return AttributionTask(loss_func=loss, model=setting.model,
                           checkpoints=setting.model.state_dict())


def dattri_grad_dot(setting):
    from dattri.algorithm.tracin import TracInAttributor

    task = dattri_task(setting, loss_of_one(setting.model))
    attributor = TracInAttributor(task, torch.ones(1), normalized_grad=False)
    # Off by nothing but this: without arguments it projects.
    attributor.projector_kwargs = None
    return attributor.attribute(setting.loader(setting.train), setting.loader(setting.queries))


def dattri_trak(setting):
    from dattri.algorithm.trak import TRAKAttributor

    model = setting.model

    def margin(parameters, data):
        outputs = torch.func.functional_call(model, parameters, data[0].unsqueeze(0))
        log = -nn.functional.cross_entropy(outputs, data[1].reshape(1))
        return log - torch.log(1 - torch.exp(log))

    def probability(parameters, data):
        outputs = torch.func.functional_call(model, parameters, data[0].unsqueeze(0))
        return torch.exp(-nn.functional.cross_entropy(outputs, data[1].reshape(1)))

    attributor = TRAKAttributor(dattri_task(setting, margin), probability,
                                projector_kwargs={"proj_dim": 512, "device": "cpu"})
    attributor.cache(setting.loader(setting.train))
    return attributor.attribute(setting.loader(setting.queries))


def dattri_cg(setting):
    from dattri.algorithm.influence_function import IFAttributorCG

    # One batch, as inverses are summed over batches.
    train = setting.loader(setting.train, len(setting.train))
    task = dattri_task(setting, loss_of(setting.model))
    attributor = IFAttributorCG(task, max_iter=10, regularization=1e-2)
    attributor.cache(train)
    return attributor.attribute(train, setting.loader(setting.queries))


def dattri_knn(setting):
    from dattri.algorithm.data_shapley import KNNShapleyAttributor

    labels = [data.tensors[1].tolist() for data in (setting.train, setting.queries)]
    return KNNShapleyAttributor(k_neighbors=5).attribute(
        setting.loader(setting.train), setting.loader(setting.queries), *labels)


def pydvl(setting, name, **arguments):
    """One of pyDVL's models of the inverse Hessian."""
    from pydvl.influence import torch as library

    cross_entropy = nn.functional.cross_entropy
    model = (setting.model,) if name == "EkfacInfluence" else (setting.model, cross_entropy)
    influence = getattr(library, name)(*model, **arguments)
    influence = influence.fit(setting.loader(setting.train, len(setting.train)))
    return influence.influences(*setting.queries.tensors, *setting.train.tensors)


def summed_loss(logits, labels):
    """Of classes, or of texts with a mean over each."""
    if labels.dim() == 2:
        return text_losses(logits, labels).sum()
    return nn.functional.cross_entropy(logits, labels, reduction="sum")


def kronfluence(setting, strategy):
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):
            logits = model(batch[0])
            labels = batch[1]
            if sample:
                odds = logits.detach().flatten(0, -2).softmax(-1)
                labels = torch.multinomial(odds, 1).reshape(labels.shape)
            return summed_loss(logits, labels)

        def compute_measurement(self, batch, model):
            return summed_loss(model(batch[0]), batch[1])

    task = Classification()
    with tempfile.TemporaryDirectory() as folder:
        analyzer = Analyzer("peer", prepare_model(setting.model, task), task, cpu=True,
                            disable_tqdm=True, output_dir=folder)
        analyzer.fit_all_factors("factors", setting.train, per_device_batch_size=500,
                                 factor_args=FactorArguments(strategy=strategy))
        analyzer.compute_pairwise_scores(
            "scores", "factors", setting.queries, setting.train, per_device_query_batch_size=500,
            per_device_train_batch_size=500, score_args=ScoreArguments(damping_factor=None))
        return analyzer.load_pairwise_scores("scores")["all_modules"]


def captum(setting, fast, checkpoints):
    from captum.influence import TracInCP, TracInCPFast

    def load(model, state):
        model.load_state_dict(state)
        return 1.0

    states = setting.checkpoints[-checkpoints:]
    loss = nn.CrossEntropyLoss(reduction="sum" if fast else "none")
    common = {"checkpoints_load_func": load, "loss_fn": loss, "batch_size": 500}
    if fast:
        influence = TracInCPFast(setting.model, setting.model[int(setting.last)], setting.train,
                                 states, **common)
    else:
        influence = TracInCP(setting.model, setting.train, states, **common)
    return influence.influence(setting.queries.tensors)


def traker(setting):
    from trak import TRAKer
    from trak.projectors import BasicProjector, ProjectionType

    size = sum(p.numel() for p in setting.model.parameters())
    projector = BasicProjector(size, 512, 0, ProjectionType.rademacher, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        trak = TRAKer(setting.model, "image_classification", len(setting.train), save_dir=folder,
                      device="cpu", projector=projector, proj_dim=512, use_half_precision=False,
                      logging_level=40)
        state = setting.model.state_dict()
        trak.load_checkpoint(state, model_id=0)
        for batch in setting.loader(setting.train):
            trak.featurize(batch=batch, num_samples=len(batch[0]))
        trak.finalize_features()
        trak.start_scoring_checkpoint("queries", state, model_id=0, num_targets=QUERIES)
        for batch in setting.loader(setting.queries):
            trak.score(batch=batch, num_samples=len(batch[0]))
        return torch.as_tensor(trak.finalize_scores("queries"))


JOBS = {
    "train-alone": lambda s: torch.zeros(len(s.train), len(s.queries)),
    "dattri-grad-dot": dattri_grad_dot,
    "dattri-trak": dattri_trak,
    "dattri-cg": dattri_cg,
    "dattri-knn": dattri_knn,
    "pydvl-ekfac": lambda s: pydvl(s, "EkfacInfluence", hessian_regularization=1e-2),
    "pydvl-cg": lambda s: pydvl(s, "CgInfluence", regularization=1e-2, maxiter=10,
                                solve_simultaneously=True, warn_on_max_iteration=False),
    "pydvl-lissa": lambda s: pydvl(s, "LissaInfluence", regularization=1e-2, maxiter=20, scale=50,
                                   warn_on_max_iteration=False),
    "pydvl-arnoldi": lambda s: pydvl(s, "ArnoldiInfluence", regularization=1e-2, rank=100),
    "pydvl-nystroem": lambda s: pydvl(s, "NystroemSketchInfluence", regularization=1e-2, rank=100),
    "kronfluence-identity": lambda s: kronfluence(s, "identity"),
    "kronfluence-kfac": lambda s: kronfluence(s, "kfac"),
    "kronfluence-ekfac": lambda s: kronfluence(s, "ekfac"),
    "captum-grad-dot": lambda s: captum(s, False, 1),
    "captum-last-layer": lambda s: captum(s, True, 1),
    "captum-trac-in-cp": lambda s: captum(s, False, 5),
    "traker": traker,
}


def main():
    settings = {**dict.fromkeys(SETTINGS, Setting), "gpt": TextSetting}
    if len(sys.argv) != 3 or sys.argv[1] not in settings or sys.argv[2] not in JOBS:
        sys.exit(f"usage: peer_scores.py SETTING JOB (known: {', '.join([*settings, *JOBS])})")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scores = JOBS[sys.argv[2]](settings[sys.argv[1]](sys.argv[1]))
    print(json.dumps({"shape": list(scores.shape), "finite": bool(torch.isfinite(scores).all())}))


if __name__ == "__main__":
    main()

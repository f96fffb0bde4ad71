"""Scores of 500 queries by other people's libraries, a process each: `peer_scores.py SETTING JOB`.

`softmax`: regression 784 -> 10 on 1,000 examples, trained by 200 full-batch steps; `mlp`:
784-128-64-10 on 5,000 examples, 400 steps of 50. Both as in our own program `score_process`, on
numbers drawn instead of images. Settings are each library's own where ours do not ask otherwise.
"""

import json
import sys
import tempfile
import warnings

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.filterwarnings("ignore")

QUERIES = 500
SETTINGS = {"softmax": ([784, 10], 1_000, 200, 1_000), "mlp": ([784, 128, 64, 10], 5_000, 400, 50)}
"""Widths, training rows, steps and batch."""


class Setting:
    """A trained model, its data and five of its checkpoints."""

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


def kronfluence(setting, strategy):
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    class Classification(Task):
        def compute_train_loss(self, batch, model, sample=False):
            logits = model(batch[0])
            labels = batch[1]
            if sample:
                labels = torch.multinomial(logits.detach().softmax(-1), 1).flatten()
            return nn.functional.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch, model):
            return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="sum")

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
    "train-alone": lambda setting: torch.zeros(len(setting.train), QUERIES),
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
    if len(sys.argv) != 3 or sys.argv[1] not in SETTINGS or sys.argv[2] not in JOBS:
        sys.exit(f"usage: peer_scores.py SETTING JOB (known: {', '.join([*SETTINGS, *JOBS])})")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scores = JOBS[sys.argv[2]](Setting(sys.argv[1]))
    print(json.dumps({"shape": list(scores.shape), "finite": bool(torch.isfinite(scores).all())}))


if __name__ == "__main__":
    main()

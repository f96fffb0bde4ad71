"""What the peers run, one job a process: `python peer_jobs.py JOB`.

Every job prints one JSON object on its last line. Import cost is part of a process and is measured
by the job `import-torch`, so that it can be told apart from the work.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn

TRAIN_ROWS = 1_000
BATCH = 50
SHAPES = {
    "mlp 784-128-64-10": [784, 128, 64, 10],
    "mlp 64-16-10": [64, 16, 10],
    "softmax regression 784-10": [784, 10],
}


def build(widths):
    """Dense layers with tanh between them."""
    layers = []
    for index, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        layers += [nn.Tanh()] if index else []
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)


def random_data(rows, inputs, classes):
    """Uniform features and labels; the time of every job depends on their shape alone."""
    return torch.rand(rows, inputs) * 2 - 1, torch.randint(classes, (rows,))


def train_steps(name, steps=50, repeats=40):
    """The plain loop that a user writes; least and median milliseconds of a step.

    Many short stretches of one training, as in our own program: on a busy machine the least of them
    is what the code costs.
    """
    widths = SHAPES[name]
    features, labels = random_data(TRAIN_ROWS, widths[0], widths[-1])
    model = build(widths)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    loss_function = nn.CrossEntropyLoss()
    milliseconds = []
    for _ in range(repeats):
        batches = torch.randint(TRAIN_ROWS, (steps, BATCH))
        start = time.perf_counter()
        for rows in batches:
            optimizer.zero_grad()
            loss_function(model(features[rows]), labels[rows]).backward()
            optimizer.step()
        milliseconds.append((time.perf_counter() - start) * 1e3 / steps)
    milliseconds.sort()
    return {"least_ms": milliseconds[0], "median_ms": milliseconds[repeats // 2]}


def influence_setting():
    """Softmax regression trained on 1,000 rows of 784 features, and 500 queries."""
    train, queries = random_data(1_000, 784, 10), random_data(500, 784, 10)
    model = build([784, 10])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(train[0]), train[1]).backward()
        optimizer.step()
    return model, train, queries


def dattri_explicit():
    """Explicit inverse Hessian; one batch, as dattri would sum the inverses of several."""
    from dattri.algorithm.influence_function import IFAttributorExplicit
    from dattri.task import AttributionTask
    from torch.utils.data import DataLoader, TensorDataset

    model, train, queries = influence_setting()

    def loss(parameters, data):
        outputs = torch.func.functional_call(model, parameters, data[0])
        return nn.functional.cross_entropy(outputs, data[1].flatten())

    task = AttributionTask(loss_func=loss, model=model, checkpoints=model.state_dict())
    attributor = IFAttributorExplicit(task=task, device="cpu", regularization=1e-2)
    train_loader = DataLoader(TensorDataset(*train), batch_size=1_000)
    attributor.cache(train_loader)
    scores = attributor.attribute(train_loader, DataLoader(TensorDataset(*queries), batch_size=500))
    return {"shape": list(scores.shape)}


def pydvl_direct():
    """Direct solution with the Hessian."""
    from pydvl.influence.torch import DirectInfluence
    from torch.utils.data import DataLoader, TensorDataset

    model, train, queries = influence_setting()
    loader = DataLoader(TensorDataset(*train), batch_size=1_000)
    influence = DirectInfluence(model, nn.functional.cross_entropy, regularization=1e-2).fit(loader)
    scores = influence.influences(*queries, *train)
    return {"shape": list(scores.shape)}


VALUED, VALUATION_QUERIES, EVALUATIONS = 100, 500, 5_000


def digits_utility(model=None):
    """pyDVL's utility: accuracy of scikit-learn's softmax regression on digits."""
    from pydvl.valuation import Dataset, ModelUtility, SupervisedScorer
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    features, labels = load_digits(return_X_y=True)
    features = features / 16.0
    train = Dataset(features[:VALUED], labels[:VALUED])
    queries = slice(VALUED, VALUED + VALUATION_QUERIES)
    test = Dataset(features[queries], labels[queries])
    model = model or LogisticRegression(C=1.0, max_iter=30)
    scorer = SupervisedScorer("accuracy", test, default=0.0, range=(0, 1))
    return ModelUtility(model, scorer), train


def timed_valuation(make):
    """Fits a valuation and says how many coalitions a second it evaluated."""
    import warnings

    warnings.filterwarnings("ignore")
    utility, train = digits_utility()
    valuation = make(utility)
    start = time.perf_counter()
    valuation.fit(train)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "evaluations": EVALUATIONS,
            "evaluations_per_second": EVALUATIONS / seconds}


def pydvl_msr():
    """Data Banzhaf with maximum sample reuse."""
    from pydvl.valuation import BanzhafValuation, MaxUpdates, MSRSampler

    return timed_valuation(lambda utility: BanzhafValuation(
        utility, MSRSampler(batch_size=1, seed=0), is_done=MaxUpdates(EVALUATIONS),
        progress=False))


def pydvl_permutation():
    """Permutation Shapley, 50 permutations of 100 players."""
    from pydvl.valuation import MaxUpdates, PermutationSampler, ShapleyValuation

    return timed_valuation(lambda utility: ShapleyValuation(
        utility, PermutationSampler(seed=0), is_done=MaxUpdates(EVALUATIONS // VALUED),
        progress=False))


def sklearn_fits():
    """What the fits alone cost, without any valuation."""
    utility, train = digits_utility()
    generator = np.random.default_rng(0)
    features, labels = train.data().x, train.data().y
    from sklearn.linear_model import LogisticRegression

    count, start = 500, time.perf_counter()
    for _ in range(count):
        kept = generator.random(VALUED) < 0.5
        LogisticRegression(C=1.0, max_iter=30).fit(features[kept], labels[kept])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "evaluations": count, "evaluations_per_second": count / seconds}


def nearest_data():
    """10,000 examples and 100 queries of 784 features."""
    return random_data(10_000, 784, 10), random_data(100, 784, 10)


def dattri_knn():
    """KNN-Shapley of five neighbours."""
    from dattri.algorithm.data_shapley import KNNShapleyAttributor
    from torch.utils.data import DataLoader, TensorDataset

    train, queries = nearest_data()
    attributor = KNNShapleyAttributor(k_neighbors=5)
    scores = attributor.attribute(DataLoader(TensorDataset(*train), batch_size=1_000),
                                  DataLoader(TensorDataset(*queries), batch_size=100))
    return {"shape": list(scores.shape)}


def pydvl_knn():
    """KNN-Shapley of five neighbours, summed over queries."""
    from pydvl.valuation import Dataset, KNNShapleyValuation
    from sklearn.neighbors import KNeighborsClassifier

    train, queries = (Dataset(x.numpy(), y.numpy()) for x, y in nearest_data())
    model = KNeighborsClassifier(n_neighbors=5, algorithm="brute")
    valuation = KNNShapleyValuation(model, queries, progress=False)
    return {"shape": list(valuation.fit(train).result.values.shape)}


JOBS = {
    "dattri-knn": dattri_knn,
    "pydvl-knn": pydvl_knn,
    "import-torch": lambda: {},
    "train-mlp-784": lambda: train_steps("mlp 784-128-64-10"),
    "train-mlp-64": lambda: train_steps("mlp 64-16-10"),
    "train-softmax": lambda: train_steps("softmax regression 784-10"),
    "influence-setting": lambda: {"shape": [len(part[0]) for part in influence_setting()[1:]]},
    "dattri-explicit": dattri_explicit,
    "pydvl-direct": pydvl_direct,
    "pydvl-msr": pydvl_msr,
    "pydvl-permutation": pydvl_permutation,
    "sklearn-fits": sklearn_fits,
}


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in JOBS:
        sys.exit(f"usage: peer_jobs.py JOB (known: {', '.join(JOBS)})")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(json.dumps(JOBS[sys.argv[1]]()))


if __name__ == "__main__":
    main()

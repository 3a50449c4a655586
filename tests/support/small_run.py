"""A small training run on the synthetic garments, with its evaluator."""

import scratchnet as sn

SMALL = {"folder": "synthetic", "take": 700}


def small_run(epochs=2, learning_rate=0.1, seed=0, **options):
    settings = SMALL | options
    train = sn.FashionMnistDataLoader("train", 64, **settings)
    valid = sn.FashionMnistDataLoader("valid", 64, **settings)
    valid.zero_center(train.mean_image)
    net = sn.Classifier(20, seed)
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    optimizer = sn.SGD(net.parameters(), learning_rate)
    learner = sn.Learner(train, net, optimizer, sn.softmax_loss, metrics)
    lines = []
    if epochs:
        learner.fit(epochs, lines.append)
    return learner, lines


def in_float64(learner):
    """Return the same learner, with data and parameters in float64, so that rounding hides no fault."""
    train, valid = (
        sn.ArrayDataLoader(
            each.inputs.astype("float64"), each.labels, each.batch_size, shuffle=False, dtype="float64"
        )
        for each in (learner.train, learner.evaluator.valid)
    )
    for each in learner.net.parameters():
        each.data = each.data.astype("float64")
    metrics = sn.MetricsCollector(train, valid, sn.softmax_loss)
    return sn.Learner(train, learner.net, learner.optimizer, sn.softmax_loss, metrics)

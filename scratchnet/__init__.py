"""scratchnet: a neural network library from scratch, on NumPy and CuPy behind one name, `xp`.

Every name below is imported when it is first used, so that a program pays only for what it uses
(https://scientific-python.org/specs/spec-0001). `__init__.pyi` is the same table for type checkers.
"""

import os
import sys
from importlib import import_module
from typing import Any

_EXPORTS = {
    "backends": "xp",
    "scratchnet.core.anomaly": "detect_anomaly",
    "scratchnet.core.function": "Function",
    "scratchnet.core.modes": "no_grad",
    "scratchnet.core.random": "Philox",
    "scratchnet.data.arrays": "ArrayDataLoader",
    "scratchnet.data.loader": "DataLoader",
    "scratchnet.data.dataset": "Dataset NpyDataset",
    "scratchnet.data.cifar": "Cifar100DataLoader Cifar10DataLoader",
    "scratchnet.data.csv_file": "CsvDataLoader",
    "scratchnet.data.fashion_mnist": "FashionMnistDataLoader",
    "scratchnet.data.image_folder": "ImageFolder",
    "scratchnet.data.mnist": "MnistDataLoader",
    "scratchnet.data.parquet": "ParquetDataset",
    "scratchnet.data.streaming.index": "index_files",
    "scratchnet.data.streaming.loader": "StreamingDataLoader",
    "scratchnet.errors": (
        "AnomalyError CaptureWarning CheckpointError DataError DataNotFoundError DownloadError "
        "GradientError GraphError GraphFreedError IndexingError LostStateWarning "
        "NonFiniteLossError NotDrawnWarning OperandError OtherDataWarning OtherVersionWarning "
        "ParityError PrecisionWarning ScratchnetError SettingError ShapeError StaleGraphError "
        "UncentredDataWarning UntrainedWarning AloneWarning CrowdedWarning"
    ),
    "scratchnet.functions": (
        "Add Dot Mul Threshold Transpose abs adaptive_avg_pool2d arccos arcsin arctan argmax "
        "argmin avg_pool2d batch_norm broadcast_to ceil clip concatenate conv1d conv2d "
        "conv_transpose2d cos cosh cumsum diagonal dot dropout dropout2d einsum elu embedding erf erfc "
        "exp expand_dims expm1 flatten flip floor gelu group_norm hardtanh layer_norm leaky_relu log "
        "log10 log1p log2 log_sigmoid log_softmax logsumexp matmul max max_pool2d maximum mean "
        "min minimum moveaxis norm outer pad prod ravel relu repeat reshape rms_norm roll "
        "scaled_dot_product_attention selu sigmoid sign silu sin sinh softmax softplus split sqrt "
        "square squeeze stack std sum swapaxes take take_along_axis tan tanh tensordot threshold "
        "tile trace transpose tril triu unstack var where"
    ),
    "scratchnet.gradient_check": "gradcheck gradgradcheck",
    "scratchnet.inspect.draw.draw": "draw",
    "scratchnet.inspect.explain.explain": "explain",
    "scratchnet.inspect.summary.summary": "summary",
    "scratchnet.layers": (
        "AdaptiveAvgPool2d AvgPool2d BatchNorm1d BatchNorm2d Buffer Conv1d Conv2d ConvTranspose2d "
        "Dropout Dropout2d Embedding Flatten GRU GRUCell GroupNorm Identity LSTM LSTMCell "
        "LayerNorm Linear MaxPool2d Module MultiheadAttention RMSNorm RNN RNNCell Residual "
        "Sequential SinusoidalPositions TransformerEncoderLayer initializers"
    ),
    "scratchnet.losses": (
        "binary_cross_entropy binary_cross_entropy_with_logits cosine_similarity hinge_loss "
        "huber_loss kl_divergence l1_loss mse_loss nll_loss plain_softmax_loss softmax_loss "
        "triplet_margin_loss"
    ),
    "scratchnet.optimizers": (
        "Adagrad Adam AdamW Lion Muon NAdam Optimizer RMSprop SGD clip_grad_norm clip_grad_value "
        "schedules"
    ),
    "scratchnet.results.plots": (
        "plot_confusion_matrix plot_images plot_metrics plot_predictions plot_weights"
    ),
    "scratchnet.results.report": "write_report",
    "scratchnet.training.callbacks.callback": "Callback",
    "scratchnet.training.callbacks.csv_logger": "CSVLogger",
    "scratchnet.training.callbacks.early_stopping": "EarlyStopping",
    "scratchnet.training.callbacks.live_curves": "LiveCurves",
    "scratchnet.training.callbacks.model_checkpoint": "ModelCheckpoint",
    "scratchnet.training.callbacks.progress_bar": "ProgressBar",
    "scratchnet.training.callbacks.reduce_lr_on_plateau": "ReduceLROnPlateau",
    "scratchnet.training.callbacks.tensorboard": "TensorBoard",
    "scratchnet.training.checkpoint": "load load_metadata save",
    "scratchnet.training.learner": "Learner",
    "scratchnet.training.metrics": "EpochMetrics Evaluator MetricsCollector",
    "scratchnet.training.parallel.data_parallel": "data_parallel",
    "scratchnet.training.predict": "predict",
    "scratchnet.training.predictions": "Predictions",
    "scratchnet.training.recipe": "Classifier ConvolutionalClassifier",
    "scratchnet.variable": "Variable grad",
    "scratchnet.version": "__version__",
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names.split()}
_PACKAGES = {
    **{
        name: f"scratchnet.{name}" for name in ("errors", "functions", "layers", "metrics", "optimizers")
    },
    "transforms": "scratchnet.data.transforms",
}

__all__ = sorted(_MODULE_OF.keys() - {"__version__"})


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(_PACKAGES[name])
    if name not in _MODULE_OF:
        moved = name[:1].isupper() and hasattr(import_module("scratchnet.functions"), name)
        where = f"; it is scratchnet.functions.{name}" if moved else ""
        raise AttributeError(f"module 'scratchnet' has no attribute {name!r}{where}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*_MODULE_OF, *_PACKAGES})


def _check_backends() -> None:
    """Raise `ImportError` where another module is found under the name of our package `backends`."""
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "backends")
    # What importlib.util.find_spec does. Importing that module would cost more than all the rest here.
    finders = (each for each in sys.meta_path if hasattr(each, "find_spec"))
    specs = (finder.find_spec("backends", None) for finder in finders)
    loaded = sys.modules.get("backends")
    spec = loaded.__spec__ if loaded else next(filter(None, specs), None)
    origin = spec.origin or next(iter(spec.submodule_search_locations or ()), None) if spec else None
    if origin is None or os.path.realpath(os.path.dirname(origin)) != os.path.realpath(ours):
        raise ImportError(
            f"scratchnet needs its own package `backends` ({ours}), but Python finds "
            f"{origin or 'none'} under that name; rename or move that file or folder"
        )


_check_backends()

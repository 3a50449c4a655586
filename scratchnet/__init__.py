"""scratchnet: a neural network library from scratch, on NumPy and CuPy behind one name, `xp`."""

from backends import xp as xp
from scratchnet.core.function import Function
from scratchnet.core.modes import no_grad
from scratchnet.data import ArrayDataLoader, DataLoader, FashionMnistDataLoader
from scratchnet.errors import (
    CaptureWarning,
    CheckpointError,
    DataError,
    DataNotFoundError,
    DownloadError,
    GradientError,
    GraphError,
    GraphFreedError,
    LostStateWarning,
    NonFiniteLossError,
    NotDrawnWarning,
    OperandError,
    OtherDataWarning,
    OtherVersionWarning,
    ParityError,
    ScratchnetError,
    SettingError,
    ShapeError,
    StaleGraphError,
    UncentredDataWarning,
)
from scratchnet.functions import (
    Add,
    Affine,
    Div,
    Dot,
    Exp,
    GetItem,
    Log,
    LogSoftmax,
    MatMul,
    Max,
    Mean,
    Mul,
    Neg,
    Pow,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Sub,
    Sum,
    Tanh,
    Threshold,
    Transpose,
)
from scratchnet.functions.functional import (
    exp,
    log,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    tanh,
    threshold,
)
from scratchnet.gradcheck import gradcheck
from scratchnet.inspect.draw.draw import draw
from scratchnet.inspect.explain.explain import explain
from scratchnet.inspect.summary.summary import summary
from scratchnet.layers import Linear, Module, Sequential
from scratchnet.losses import plain_softmax_loss, softmax_loss
from scratchnet.optimizers import SGD, Optimizer
from scratchnet.results.plots import plot_confusion_matrix, plot_images, plot_metrics, plot_weights
from scratchnet.results.report import write_report
from scratchnet.training.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LiveCurves,
    ModelCheckpoint,
    ProgressBar,
    TensorBoard,
)
from scratchnet.training.checkpoint import load, load_metadata, save
from scratchnet.training.learner import Learner
from scratchnet.training.metrics import EpochMetrics, Evaluator, MetricsCollector
from scratchnet.training.predictions import Predictions, predict
from scratchnet.training.recipe import Classifier
from scratchnet.variable import Variable
from scratchnet.version import __version__ as __version__

__all__ = [
    "SGD", "Add", "Affine", "ArrayDataLoader", "CSVLogger", "Callback", "CaptureWarning",
    "CheckpointError", "Classifier", "DataError", "DataLoader", "DataNotFoundError", "Div",
    "Dot", "DownloadError", "EarlyStopping", "EpochMetrics", "Evaluator", "Exp",
    "FashionMnistDataLoader", "Function", "GetItem", "GradientError", "GraphError",
    "GraphFreedError", "Learner", "Linear", "LiveCurves", "Log", "LogSoftmax",
    "LostStateWarning", "MatMul", "Max", "Mean", "MetricsCollector", "ModelCheckpoint",
    "Module", "Mul", "Neg", "NonFiniteLossError", "NotDrawnWarning", "OperandError",
    "Optimizer", "OtherDataWarning", "OtherVersionWarning", "ParityError", "Pow", "Predictions",
    "ProgressBar",
    "ReLU", "Reshape", "ScratchnetError", "Sequential", "SettingError", "ShapeError",
    "Sigmoid", "Softmax", "SoftmaxCrossEntropy", "StaleGraphError", "Sub", "Sum", "Tanh",
    "TensorBoard", "Threshold", "Transpose", "UncentredDataWarning", "Variable", "draw",
    "exp", "explain", "gradcheck", "load", "load_metadata", "log", "log_softmax", "no_grad",
    "plain_softmax_loss", "plot_confusion_matrix", "plot_images", "plot_metrics",
    "plot_weights", "predict", "relu", "save", "sigmoid", "softmax", "softmax_loss",
    "summary", "tanh", "threshold", "write_report", "xp",
]  # fmt: skip

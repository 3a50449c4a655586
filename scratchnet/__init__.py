"""scratchnet: a neural network library from scratch, on NumPy and CuPy behind one name, `xp`."""

from backends import xp as xp
from scratchnet.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LiveCurves,
    ModelCheckpoint,
    ProgressBar,
    TensorBoard,
)
from scratchnet.checkpoint import load, load_metadata, save
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
from scratchnet.function import Function
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
from scratchnet.graph import Variable
from scratchnet.layers import Linear, Module, Sequential
from scratchnet.learner import Learner
from scratchnet.loss import plain_softmax_loss, softmax_loss
from scratchnet.metrics import EpochMetrics, Evaluator, MetricsCollector
from scratchnet.optimizers import SGD, Optimizer
from scratchnet.plots import plot_confusion_matrix, plot_images, plot_metrics, plot_weights
from scratchnet.predictions import Predictions, predict
from scratchnet.recipe import Classifier
from scratchnet.recording import no_grad
from scratchnet.report import write_report
from scratchnet.show.draw import draw
from scratchnet.show.explain import explain
from scratchnet.show.summary import summary
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

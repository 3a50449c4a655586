"""What is told how a training goes, and may end it: in the shape that Keras has made known."""

from scratchnet.training.callbacks.callback import Callback as Callback
from scratchnet.training.callbacks.csv_logger import CSVLogger as CSVLogger
from scratchnet.training.callbacks.early_stopping import EarlyStopping as EarlyStopping
from scratchnet.training.callbacks.live_curves import LiveCurves as LiveCurves
from scratchnet.training.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from scratchnet.training.callbacks.progress_bar import ProgressBar as ProgressBar
from scratchnet.training.callbacks.tensorboard import TensorBoard as TensorBoard

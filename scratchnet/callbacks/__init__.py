"""What is told how a training goes, and may end it: in the shape that Keras has made known."""

from scratchnet.callbacks.callback import Callback as Callback
from scratchnet.callbacks.csv_logger import CSVLogger as CSVLogger
from scratchnet.callbacks.early_stopping import EarlyStopping as EarlyStopping
from scratchnet.callbacks.live_curves import LiveCurves as LiveCurves
from scratchnet.callbacks.model_checkpoint import ModelCheckpoint as ModelCheckpoint
from scratchnet.callbacks.progress_bar import ProgressBar as ProgressBar
from scratchnet.callbacks.tensorboard import TensorBoard as TensorBoard

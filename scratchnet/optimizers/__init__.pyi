"""What `scratchnet.optimizers` offers, for type checkers and editors: the table of `__init__.py`."""

from scratchnet.optimizers import schedules as schedules
from scratchnet.optimizers.adagrad import Adagrad as Adagrad
from scratchnet.optimizers.adam import Adam as Adam
from scratchnet.optimizers.adam import AdamW as AdamW
from scratchnet.optimizers.adam import NAdam as NAdam
from scratchnet.optimizers.clipping import clip_grad_norm as clip_grad_norm
from scratchnet.optimizers.clipping import clip_grad_value as clip_grad_value
from scratchnet.optimizers.lion import Lion as Lion
from scratchnet.optimizers.muon import Muon as Muon
from scratchnet.optimizers.optimizer import Optimizer as Optimizer
from scratchnet.optimizers.rmsprop import RMSprop as RMSprop
from scratchnet.optimizers.sgd import SGD as SGD

"""What `scratchnet.losses` offers, for type checkers and editors: the table of `__init__.py`."""

from scratchnet.losses.binary import binary_cross_entropy as binary_cross_entropy
from scratchnet.losses.binary import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from scratchnet.losses.binary import hinge_loss as hinge_loss
from scratchnet.losses.classification import nll_loss as nll_loss
from scratchnet.losses.classification import plain_softmax_loss as plain_softmax_loss
from scratchnet.losses.classification import softmax_loss as softmax_loss
from scratchnet.losses.probabilities import kl_divergence as kl_divergence
from scratchnet.losses.regression import huber_loss as huber_loss
from scratchnet.losses.regression import l1_loss as l1_loss
from scratchnet.losses.regression import mse_loss as mse_loss
from scratchnet.losses.similarity import cosine_similarity as cosine_similarity
from scratchnet.losses.similarity import triplet_margin_loss as triplet_margin_loss

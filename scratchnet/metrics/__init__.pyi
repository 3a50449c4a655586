"""What `scratchnet.metrics` offers, for type checkers and editors: the table of `__init__.py`."""

from scratchnet.metrics.binary import binary_accuracy as binary_accuracy
from scratchnet.metrics.binary import multilabel_accuracy as multilabel_accuracy
from scratchnet.metrics.classification import accuracy as accuracy
from scratchnet.metrics.classification import perplexity as perplexity
from scratchnet.metrics.classification import top_k as top_k
from scratchnet.metrics.counts import f1 as f1
from scratchnet.metrics.counts import precision as precision
from scratchnet.metrics.counts import recall as recall
from scratchnet.metrics.defaults import for_loss as for_loss
from scratchnet.metrics.defaults import named as named
from scratchnet.metrics.defaults import suited as suited
from scratchnet.metrics.metric import Metric as Metric
from scratchnet.metrics.other import from_sklearn as from_sklearn
from scratchnet.metrics.regression import mean_absolute_error as mean_absolute_error
from scratchnet.metrics.regression import mean_squared_error as mean_squared_error
from scratchnet.metrics.regression import r2 as r2

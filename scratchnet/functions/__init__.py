"""The Functions: the steps that a network computes, and their derivatives, as rules on arrays.

Next to each class is its lower-case function. It maps Variables to Variables, and arrays to arrays. To
add a Function, import it here; everything else about it is in the file that defines it.
"""

from scratchnet.functions.activation import (
    ELU,
    GELU,
    SELU,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    Threshold,
    elu,
    gelu,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    relu,
    selu,
    sigmoid,
    silu,
    softplus,
    tanh,
    threshold,
)
from scratchnet.functions.arithmetic import Add, Div, Mul, Neg, Pow, Sub
from scratchnet.functions.attention import MaskedSoftmax, scaled_dot_product_attention
from scratchnet.functions.comparison import Maximum, Minimum, Where, clip, maximum, minimum, where
from scratchnet.functions.convolution import (
    Conv2d,
    Conv2dWeight,
    ConvTranspose2d,
    conv1d,
    conv2d,
    conv_transpose2d,
)
from scratchnet.functions.cross_entropy import BinaryCrossEntropy
from scratchnet.functions.dropout import Dropout, dropout, dropout2d
from scratchnet.functions.elementwise import (
    Abs,
    Arccos,
    Arcsin,
    Arctan,
    Ceil,
    Cos,
    Cosh,
    Erf,
    Erfc,
    Exp,
    Expm1,
    Floor,
    Log,
    Log1p,
    Log2,
    Log10,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    Tan,
    absolute,
    arccos,
    arcsin,
    arctan,
    ceil,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    expm1,
    floor,
    log,
    log1p,
    log2,
    log10,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
)
from scratchnet.functions.embedding import Embedding, EmbeddingWeight, embedding
from scratchnet.functions.indexing import (
    AddAt,
    GetItem,
    diagonal,
    flip,
    pad,
    repeat,
    take,
    take_along_axis,
    trace,
    tril,
    triu,
)
from scratchnet.functions.joining import Concatenate, Unstack, concatenate, split, stack, unstack
from scratchnet.functions.linear import Affine, Einsum, MatMul, dot, einsum, matmul, outer, tensordot
from scratchnet.functions.normalization import (
    Normalize,
    SumOfShares,
    batch_norm,
    group_norm,
    layer_norm,
    rms_norm,
)
from scratchnet.functions.pooling import (
    MaxPool2d,
    MaxPool2dAt,
    MaxUnpool2d,
    adaptive_avg_pool2d,
    avg_pool2d,
    max_pool2d,
)
from scratchnet.functions.recurrent import GRU, LSTM, RNN, ReLURNN
from scratchnet.functions.reduction import (
    CumSum,
    Max,
    Mean,
    Min,
    Sum,
    argmax,
    argmin,
    cumsum,
    max,
    mean,
    min,
    norm,
    prod,
    std,
    sum,
    var,
)
from scratchnet.functions.shape import (
    AsType,
    Axis,
    BroadcastTo,
    Reshape,
    Roll,
    Transpose,
    astype,
    broadcast_to,
    expand_dims,
    flatten,
    moveaxis,
    ravel,
    reshape,
    roll,
    squeeze,
    swapaxes,
    tile,
    transpose,
)
from scratchnet.functions.softmax import (
    LogSoftmax,
    LogSumExp,
    Softmax,
    SoftmaxCrossEntropy,
    log_softmax,
    logsumexp,
    softmax,
)

Dot = MatMul
"""The matrix product, under the name that the original gives it."""

abs = absolute

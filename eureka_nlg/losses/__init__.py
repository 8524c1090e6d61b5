"""The losses: functions, modules, and when each of them holds.

From a loss's formula to its test, with focal loss as the example:

=========  ===================================  ============================================================
formula    :mod:`.objectives`                   ``Focal``: scalar function of the log-odds, and its options
kernel     :mod:`.kernels`                      the two passes over the logits that serve all losses
function   :mod:`.functional`, :mod:`.sigmoid`  ``focal_loss``, and ``sigmoid_focal_loss`` for detection
module     :mod:`.modules`                      ``FocalLoss``; ``SigmoidFocalLoss`` in :mod:`.sigmoid_modules`
criterion  ``fairseq_plugins.criterions``       ``--criterion focal``, in ``baselines.py``
config     :mod:`.objectives`                   ``SCALAR_LOSSES``: ``loss.name=focal`` for images
test       ``tests/helpers/loss_cases.py``      a case and its float64 formula, for every test of all losses
=========  ===================================  ============================================================

The function and the module of a loss of others stand together, in :mod:`.rivals`.

Two losses are no functions of the log-odds and have a file each: :mod:`.gem` looks at the whole row, and
:mod:`.unlikelihood` at other classes that are named for each row.

:mod:`.rows`, :mod:`.projection` and :mod:`.vocabulary_parallel` lie between function and kernel: ignored
targets, weights, smoothing, reduction. How an option is declared, and where it goes from there, is told in
:mod:`.options`.
"""

from eureka_nlg.losses import functional, gem, modules, rivals, unlikelihood
from eureka_nlg.losses.functional import *  # noqa: F403 - what is listed there
from eureka_nlg.losses.gem import *  # noqa: F403
from eureka_nlg.losses.modules import *  # noqa: F403
from eureka_nlg.losses.rivals import *  # noqa: F403
from eureka_nlg.losses.schedule import Deferred
from eureka_nlg.losses.sigmoid import sigmoid_eureka_loss, sigmoid_focal_loss, sigmoid_halted_focal_loss
from eureka_nlg.losses.unlikelihood import *  # noqa: F403
from eureka_nlg.losses.vocabulary_parallel import vocabulary_parallel_eureka_loss

__all__ = [
    *functional.__all__,
    "sigmoid_eureka_loss",
    "sigmoid_focal_loss",
    "sigmoid_halted_focal_loss",
    *modules.__all__,
    *rivals.__all__,
    *gem.__all__,
    *unlikelihood.__all__,
    "Deferred",
    "vocabulary_parallel_eureka_loss",
]

"""The losses: functions, modules, and the epochs in which each is used.

Where to find the parts of a loss, from its formula to its test, with focal loss as the example:

=========  ===================================  ============================================================
formula    :mod:`.objectives`                   ``Focal``: scalar function of the log-odds, and its options
kernel     :mod:`.kernels`                      the two passes over the logits that serve all losses
function   :mod:`.functional`, :mod:`.sigmoid`  ``focal_loss``, and ``sigmoid_focal_loss`` for detection
module     :mod:`.modules`                      ``FocalLoss``; ``SigmoidFocalLoss`` in :mod:`.sigmoid_modules`
criterion  ``fairseq_plugins.criterions``       ``--criterion focal``, in ``baselines.py``
config     :mod:`.objectives`                   ``SCALAR_LOSSES``: ``loss.name=focal`` for images
test       ``tests/helpers/loss_cases.py``      a case and its float64 formula, for every test of all losses
=========  ===================================  ============================================================

Losses from other papers have their function and their module together in :mod:`.rivals`.

Two losses are not functions of the target's log-odds, and each has a file of its own: :mod:`.gem` uses the
whole row of logits, and :mod:`.unlikelihood` uses further classes that are given for each row.

Between functions and kernels lie :mod:`.rows`, which handles ignored targets, class weights, label smoothing
and reduction, and its callers :mod:`.logits`, :mod:`.log_likelihoods`, :mod:`.projection` (the last linear
layer together with the loss) and :mod:`.vocabulary_parallel`. :mod:`.options` explains how an option is
declared and how functions, modules, criterions and configs take it from there.
"""

from eureka_nlg.losses import functional, gem, log_likelihoods, modules, rivals, unlikelihood
from eureka_nlg.losses.functional import *  # noqa: F403 - what is listed there
from eureka_nlg.losses.gem import *  # noqa: F403
from eureka_nlg.losses.log_likelihoods import *  # noqa: F403
from eureka_nlg.losses.modules import *  # noqa: F403
from eureka_nlg.losses.rivals import *  # noqa: F403
from eureka_nlg.losses.schedule import Deferred
from eureka_nlg.losses.sigmoid import sigmoid_eureka_loss, sigmoid_focal_loss, sigmoid_halted_focal_loss
from eureka_nlg.losses.unlikelihood import *  # noqa: F403
from eureka_nlg.losses.vocabulary_parallel import vocabulary_parallel_eureka_loss

__all__ = [
    *functional.__all__,
    *log_likelihoods.__all__,
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

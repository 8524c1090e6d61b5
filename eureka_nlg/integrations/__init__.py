"""The loss in the stacks that people train with: a package or module each, imported when it is asked for.

``eureka_nlg.integrations.transformers``, ``.trl`` and ``.lightning``. What they share knows no stack:
:mod:`.token_loss` is the loss of one batch, :mod:`.target_counts` counts the targets of a data set.
"""

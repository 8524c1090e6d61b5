"""The loss in other training libraries: ``.transformers``, ``.trl``, ``.lightning`` and ``.axolotl``.

None of them is imported before it is asked for. What they share depends on none of these libraries:
:mod:`.token_loss` is the loss of one batch, and :mod:`.target_counts` counts the targets of a data set.
"""

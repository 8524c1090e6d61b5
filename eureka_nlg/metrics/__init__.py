"""Scores of dialogue replies and of long-tailed classification.

Scores are percentages from 0 to 100 unless :func:`find_metric` names another unit or range. Each metric of
replies has a function of its own, and :func:`score_replies` computes several of them in one pass.
"""

from eureka_nlg.metrics.classes.bands import FrequencyBands, WordBands, parse_band_rule
from eureka_nlg.metrics.classes.group_accuracy import GroupAccuracy, group_accuracy
from eureka_nlg.metrics.classes.likelihood import GroupLikelihood, LikelihoodStatistics, group_likelihood
from eureka_nlg.metrics.replies.bleu import corpus_bleu
from eureka_nlg.metrics.replies.catalogue import default_metrics, find_metric, select_metrics
from eureka_nlg.metrics.replies.chrf import corpus_chrf
from eureka_nlg.metrics.replies.copies import copied_replies
from eureka_nlg.metrics.replies.f_score import BandFScores, FScores, f_scores, f_scores_by_band
from eureka_nlg.metrics.replies.length import mean_length
from eureka_nlg.metrics.replies.meteor import meteor
from eureka_nlg.metrics.replies.ngrams import (
    count_ngrams,
    expectation_adjusted_distinct,
    ngram_diversity,
    ngram_entropy,
    ngram_novelty,
)
from eureka_nlg.metrics.replies.parlai_f1 import parlai_f1
from eureka_nlg.metrics.replies.reply_diversity import reply_diversity
from eureka_nlg.metrics.replies.rouge_l import rouge_l
from eureka_nlg.metrics.replies.scores import ReplyScores, score_replies
from eureka_nlg.metrics.replies.setting import Metric, NgramCounts
from eureka_nlg.metrics.significance import (
    Comparison,
    compare,
    compare_classifiers,
    significance_table,
)
from eureka_nlg.metrics.table import score_table
from eureka_nlg.metrics.text.generated import Generated, read_generated
from eureka_nlg.metrics.text.vocabulary import read_vocabulary, read_word_counts

__all__ = [
    "f_scores",
    "f_scores_by_band",
    "parlai_f1",
    "ngram_diversity",
    "reply_diversity",
    "expectation_adjusted_distinct",
    "ngram_entropy",
    "ngram_novelty",
    "count_ngrams",
    "mean_length",
    "copied_replies",
    "corpus_bleu",
    "corpus_chrf",
    "rouge_l",
    "meteor",
    "group_accuracy",
    "group_likelihood",
    "score_replies",
    "score_table",
    "compare",
    "compare_classifiers",
    "significance_table",
    "default_metrics",
    "find_metric",
    "select_metrics",
    "parse_band_rule",
    "read_generated",
    "read_vocabulary",
    "read_word_counts",
    "FrequencyBands",
    "WordBands",
    "FScores",
    "BandFScores",
    "GroupAccuracy",
    "GroupLikelihood",
    "ReplyScores",
    "Metric",
    "Comparison",
    "Generated",
    "NgramCounts",
    "LikelihoodStatistics",
]

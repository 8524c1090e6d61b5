"""Scores of dialogue replies and of long-tailed classification, in percent from 0 to 100.

Every metric has the same parts: statistics with an ``update`` that adds data and returns them, ``+`` that
merges shards exactly, and ``compute``; and a function that joins these for data at hand.
"""

from eureka_nlg.metrics.classes.bands import FrequencyBands, WordBands, parse_band_rule
from eureka_nlg.metrics.classes.group_accuracy import GroupAccuracy, GroupAccuracyStatistics, group_accuracy
from eureka_nlg.metrics.classes.likelihood import GroupLikelihood, LikelihoodStatistics, group_likelihood
from eureka_nlg.metrics.replies.bleu import BleuStatistics, corpus_bleu
from eureka_nlg.metrics.replies.catalogue import default_metrics, find_metric, select_metrics
from eureka_nlg.metrics.replies.chrf import ChrfStatistics, corpus_chrf
from eureka_nlg.metrics.replies.f_score import BandFScores, FScores, FStatistics, f_scores, f_scores_by_band
from eureka_nlg.metrics.replies.ngrams import (
    DiversityStatistics,
    expectation_adjusted_distinct,
    ngram_diversity,
    ngram_entropy,
    ngram_novelty,
)
from eureka_nlg.metrics.replies.pair_mean import MeteorStatistics, RougeLStatistics, meteor, rouge_l
from eureka_nlg.metrics.replies.parlai_f1 import ParlaiF1Statistics, parlai_f1
from eureka_nlg.metrics.replies.reply_diversity import ReplyDiversityStatistics, reply_diversity
from eureka_nlg.metrics.replies.reply_statistics import ReplyStatistics
from eureka_nlg.metrics.replies.scores import ReplyScores, score_replies
from eureka_nlg.metrics.replies.whole_replies import (
    CopyStatistics,
    LengthStatistics,
    copied_replies,
    mean_length,
)
from eureka_nlg.metrics.significance import Comparison, compare, significance_table
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
    "Comparison",
    "Generated",
    "FStatistics",
    "ParlaiF1Statistics",
    "DiversityStatistics",
    "ReplyDiversityStatistics",
    "LengthStatistics",
    "CopyStatistics",
    "BleuStatistics",
    "ChrfStatistics",
    "RougeLStatistics",
    "MeteorStatistics",
    "ReplyStatistics",
    "GroupAccuracyStatistics",
    "LikelihoodStatistics",
]

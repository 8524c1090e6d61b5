"""Scores of dialogue replies and of long-tailed classification, in percent from 0 to 100.

Every metric has the same parts: statistics with an ``update`` that adds data and returns them, ``+`` that
merges shards exactly, and ``compute``; and a function that joins these for data at hand.
"""

from eureka_nlg.metrics.bleu import BleuStatistics, corpus_bleu
from eureka_nlg.metrics.diversity import DiversityStatistics, ngram_diversity
from eureka_nlg.metrics.f_score import FScores, FStatistics, f_scores
from eureka_nlg.metrics.generated import Generated, read_generated
from eureka_nlg.metrics.group_accuracy import GroupAccuracy, GroupAccuracyStatistics, group_accuracy
from eureka_nlg.metrics.parlai import ParlaiF1Statistics, parlai_f1
from eureka_nlg.metrics.replies import ReplyScores, score_replies
from eureka_nlg.metrics.table import score_table
from eureka_nlg.metrics.vocabulary import read_vocabulary

__all__ = [
    "f_scores",
    "parlai_f1",
    "ngram_diversity",
    "group_accuracy",
    "corpus_bleu",
    "score_replies",
    "score_table",
    "read_generated",
    "read_vocabulary",
    "FScores",
    "GroupAccuracy",
    "ReplyScores",
    "Generated",
    "FStatistics",
    "ParlaiF1Statistics",
    "DiversityStatistics",
    "GroupAccuracyStatistics",
    "BleuStatistics",
]

"""Metrics of the paper's tasks."""

from lrsclip.metrics.retrieval import RetrievalScores, hit_chances, many_to_many_scores, retrieval_scores

__all__ = ["RetrievalScores", "hit_chances", "many_to_many_scores", "retrieval_scores"]

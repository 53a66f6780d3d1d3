"""Metrics of the paper's tasks."""

from lrsclip.metrics.retrieval import RetrievalScores, retrieval_scores

__all__ = ["RetrievalScores", "retrieval_scores"]

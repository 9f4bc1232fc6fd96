"""Entity features: declared once in features.py, computed alike for training and for the service.

This package is imported by features.py of a project, also in the service's image, so it needs Polars
and nothing else.
"""

from rung_ops.features.sources import raw_rows
from rung_ops.model.entity_feature import EntityFeature

__all__ = ["EntityFeature", "raw_rows"]

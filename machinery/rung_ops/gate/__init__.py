"""Whether a version may replace the champion."""

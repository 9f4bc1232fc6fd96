"""Generated projects, used as their owners use them: installed, run, broken and mended."""

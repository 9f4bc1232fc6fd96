"""Check this machine for what a project needs: `rung doctor`."""

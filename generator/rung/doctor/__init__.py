"""What this machine has of what a project needs: `rung doctor`."""

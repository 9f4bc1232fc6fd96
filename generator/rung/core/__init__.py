"""Make projects and keep them in step with the template: new, plan, climb, update, eject, adopt."""

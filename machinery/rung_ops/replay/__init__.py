"""`poe replay`: send the sample's rows period by period through the service and the autopilot of a copy."""

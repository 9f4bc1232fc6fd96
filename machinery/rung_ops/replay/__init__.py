"""`poe replay`: send the sample's rows period by period through the service and the autopilot.

- simulation: a first release, then for each period traffic, outcomes and a pass of the autopilot
- project_copy: the copy of the project in .replay/ and its verbs; periods cuts the rows; traffic starts
  the service, sends them and follows the releases meanwhile
- timeline: figures and sentences of all periods; timeline_page: one self-contained HTML file
"""

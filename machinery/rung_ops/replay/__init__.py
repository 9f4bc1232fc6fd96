"""`poe replay`: send the sample's rows period by period through the service and the autopilot.

- Simulation: `simulation` runs a first release, then for each period traffic, outcomes and a pass of
  the autopilot.
- Copy of the project: `project_copy` creates it in .replay/, `overrides` changes its settings,
  `copy_commands` runs its verbs, `periods` cuts the rows, `traffic` starts the service and sends
  them, `period_traffic` follows the releases meanwhile. An add-on may approve in place of a person.
- Timeline: `compare` scores with and without the autopilot, `events` describes a period and
  `timeline` all of them, `wording` formats figures, `notes` explains how the replay was run.
- Page: `page` with `chart`; one self-contained HTML file.
"""

"""The sample's time once more, through the real service and the real autopilot.

`poe replay` (run.py) goes period by period. What stands where:

- course.py is the course of it: a first release, then traffic, outcomes, a pass of the autopilot.
- the copy: place.py makes it below .replay/, with settings changed by overrides.py; copied.py runs
  the project's verbs in it, periods.py cuts the rows, traffic.py starts the service and sends them,
  served.py follows what happens to the releases meanwhile, approver.py stands in for the person who
  has to approve, where one has to.
- the story: compare.py scores with and without the autopilot, story.py tells of a period and
  timeline.py of all, words.py says figures, notes.py tells how it was run.
- the page: page.py and its parts chart.py, sections.py, look.py; one HTML file that needs no other.
"""

"""The service's description for people: one page of HTML that loads nothing from elsewhere."""

import json
from html import escape
from typing import Any

from rung_ops.serving.columns import Column
from rung_ops.serving.service import Service

STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d8dee4, #30363d);
  --soft: light-dark(#f3f5f7, #161b22); --good: light-dark(#1a7f37, #3fb950);
  --bad: light-dark(#b35900, #e3a03c); --ink: light-dark(#1f2328, #e6edf3);
  --faint: light-dark(#59636e, #9198a1) }
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); margin: 0 auto; max-width: 60rem;
  padding: 2rem 1.2rem 4rem }
h1 { font-size: 1.7rem; margin: 0 }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem }
p { margin: .5rem 0 }
code, pre, textarea { font: .88rem/1.5 ui-monospace, monospace }
pre, textarea { background: var(--soft); border: 1px solid var(--line); border-radius: 6px;
  color: inherit; margin: .5rem 0; overflow: auto; padding: .8rem; width: 100% }
textarea { resize: vertical }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .8rem .45rem 0; text-align: left;
  vertical-align: top }
th { color: var(--faint); font-size: .85rem; font-weight: 600 }
button { background: var(--ink); border: 0; border-radius: 6px; color: light-dark(#fff, #0d1117);
  cursor: pointer; font: inherit; font-weight: 600; padding: .4rem 1.1rem }
.faint { color: var(--faint) } .good { color: var(--good) } .bad { color: var(--bad) }
.wide { overflow-x: auto }
"""
SCRIPT = """
const row = document.getElementById("row"), answer = document.getElementById("answer");
document.getElementById("send").addEventListener("click", async () => {
  const start = performance.now();
  const reply = await fetch("predict", {method: "POST", body: row.value,
    headers: {"content-type": "application/json"}});
  const text = await reply.text(), took = (performance.now() - start).toFixed(1);
  answer.textContent = reply.status + " after " + took + " ms\\n" + text;
});
"""
ANSWERS = (
    ("200", "The prediction, the release that made it, and the columns that had their default."),
    ("400, 413, 415", "No JSON or Arrow; too large; another media type."),
    ("422", "A row breaks the contract: <code>row</code> and <code>column</code> say where."),
    ("503", "Nothing answers now, or too many wait: come back after <code>retry-after</code>."),
)
LINKS = (
    ("openapi.json", "for programs that write programs"),
    ("model", "figures, card and contract of what answers"),
    ("metrics", "for Prometheus"),
    ("health/ready", "whether requests are welcome"),
)


def page(service: Service) -> str:
    """Describe a service; while nothing is served, without the columns of a row."""
    serving = service.held.serving
    if serving is None:
        return _framed(service, "")
    example: dict[str, Any] = serving.release.contract["example"]
    together = {"columns": {name: [value, value] for name, value in example.items()}}
    return _framed(
        service,
        _try(example)
        + _table(
            "What a row holds",
            ("Column", "Asked for", "If it is left out", "What it is"),
            [_told(column) for column in serving.reader.columns],
        )
        + "<h2>Many at once</h2><p>POST /predict takes an array of rows, and POST /predict/batch "
        "takes columns, or an Arrow IPC stream or file. Each is answered in its own form.</p>"
        f"<pre>{escape(_curl('/predict/batch', together))}</pre>"
        + _table("What comes back", ("Status", "Meaning"), ANSWERS),
    )


def _framed(service: Service, body: str) -> str:
    standing = service.held
    serving = standing.serving.release.id if standing.serving is not None else "no release"
    ready = '<b class="good">ready</b>' if service.ready else '<b class="bad">not ready</b>'
    problems = standing.problems if standing.serving is not None else (service.advice,)
    told = "".join(f'<p class="bad">{escape(problem)}</p>' for problem in problems)
    if service.stopped is not None:
        told += f'<p class="bad">Stopped: {escape(service.stopped.reason)}</p>'
    links = "".join(f'<li><a href="{to}">/{to}</a> {what}</li>' for to, what in LINKS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Predictions</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body>'
        f"<h1>Predictions</h1><p>{ready} · <code>{escape(serving)}</code> "
        f'<span class="faint">in {escape(service.environment)}</span></p>'
        f"{told}{body}<h2>More</h2><ul>{links}</ul></body></html>"
    )


def _try(example: dict[str, Any]) -> str:
    written = escape(json.dumps(example, indent=2, ensure_ascii=False))
    return (
        f"<h2>Try it</h2><p>POST /predict, with the usual value of each column:</p>"
        f'<textarea id="row" rows="{len(example) + 2}" spellcheck="false" aria-label="a row">'
        f'{written}</textarea><button id="send">Predict</button>'
        f'<pre id="answer" aria-live="polite">The answer comes here.</pre>'
        f"<pre>{escape(_curl('/predict', example))}</pre><script>{SCRIPT}</script>"
    )


def _curl(path: str, body: dict[str, Any]) -> str:
    written = json.dumps(body, ensure_ascii=False).replace("'", r"'\''")
    return (
        f"curl http://localhost:8000{path} -H 'content-type: application/json' \\\n  -d '{written}'"
    )


def _told(column: Column) -> tuple[str, ...]:
    absent = "it is refused"
    if not column.required:
        absent = (
            "empty" if column.default is None else f"<code>{escape(str(column.default))}</code>"
        )
    what = escape(column.description or "")
    if column.unit:
        what += f' <span class="faint">({escape(column.unit)})</span>'
    return f"<code>{escape(column.name)}</code>", escape(column.words), absent, what


def _table(title: str, heads: tuple[str, ...], rows: Any) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{each}</td>' for each in row)}</tr>" for row in rows)
    return (
        f'<h2>{title}</h2><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )

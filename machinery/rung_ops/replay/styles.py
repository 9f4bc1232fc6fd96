"""How the timeline looks, and what its keys do: style sheet and script, nothing from elsewhere."""

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --line: #d6dbe1; --soft: #56616e;
  --card: #f6f8fa; --with: #0b62c4; --without: #a34a00; --bad: #b3261e; --good: #17692f;
  --r0: #cfd8e3; --r1: #b9d7f7; --r2: #f5d5ae; --r3: #c4e6c8; --r4: #e4cdf1; --r5: #f6c9cf; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14181e; --line: #3a434f; --soft: #a9b3bf; --card: #1c222a;
    --with: #6cb2ff; --without: #ffa657; --bad: #ff8a80; --good: #7ee29a;
    --r0: #3d4856; --r1: #1f4b7d; --r2: #6b4517; --r3: #22562c; --r4: #55306a; --r5: #6d2a35; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1.25rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; line-height: 1.2; } h2 { margin: 2.5rem 0 .5rem; line-height: 1.25; }
p, ul { max-width: 46rem; } p.lead { color: var(--soft); margin-top: .35rem; }
a { color: var(--with); }
:focus-visible { outline: 3px solid var(--with); outline-offset: 2px; border-radius: 3px; }
dl.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
  gap: .75rem; margin: 1.25rem 0; }
dl.figures div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem; }
dt { color: var(--soft); font-size: .85rem; line-height: 1.3; }
dd { margin: 0; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; }
.chart { display: block; width: 100%; max-width: 100rem; font: 12px system-ui, sans-serif; }
.chart text { fill: var(--ink); } .chart .tick { fill: var(--soft); text-anchor: end; }
.chart .name, .chart .label { text-anchor: middle; } .chart .label { font-size: 11px; }
.chart .grid { stroke: var(--line); } .chart .hit { fill: transparent; }
.chart a:hover .hit, .chart a:focus .hit { fill: var(--with); fill-opacity: .1; }
.chart a:focus { outline: none; } .chart a:focus-visible .hit { stroke: var(--with);
  stroke-width: 2; }
.line { fill: none; stroke-width: 2; } .interval { stroke-width: 2; opacity: .45; }
.with { stroke: var(--with); } .without { stroke: var(--without); }
.line.without { stroke-dasharray: 5 4; }
.point.with { fill: var(--with); } .point.without { fill: var(--paper); stroke-width: 2; }
.release { stroke: var(--paper); }
.r0 { fill: var(--r0); } .r1 { fill: var(--r1); } .r2 { fill: var(--r2); }
.r3 { fill: var(--r3); } .r4 { fill: var(--r4); } .r5 { fill: var(--r5); }
.mark { stroke-width: 2; fill: none; stroke: var(--ink); }
.mark.promoted { fill: var(--good); stroke: var(--good); }
.mark.refused, .mark.rolled-back { stroke: var(--bad); } .mark.rolled-back { fill: var(--bad); }
.mark.waits-for-a-person { fill: var(--without); stroke: var(--without); }
ul.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: 0;
  margin: .6rem 0; color: var(--soft); font-size: .9rem; max-width: none; }
ul.legend svg { width: 1.4rem; height: 1rem; vertical-align: -.15rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
tbody th { position: sticky; left: 0; background: var(--paper); }
tr:last-child td, tr:last-child th { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 600; background: var(--card); }
th.text, td.text { text-align: left; } td.long { white-space: normal;
  min-width: 17rem; }
.better { color: var(--good); font-weight: 600; } .worse { color: var(--bad); font-weight: 600; }
td.drifted { font-weight: 700; background: color-mix(in srgb, var(--without) 22%, transparent); }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0;
  background: var(--card); }
summary { cursor: pointer; padding: .55rem .8rem; } summary b { margin-right: .5rem; }
details > div { padding: 0 .9rem .6rem; overflow-wrap: anywhere; }
details h3 { font-size: 1rem; margin: .7rem 0 .2rem; } details ul { margin: .2rem 0; }
kbd { border: 1px solid var(--line); border-radius: 4px; padding: 0 .35rem; font-size: .85rem;
  background: var(--card); }
@media (max-width: 40rem) { .long { display: none; } }
@media print { details > div { display: block; } }
"""

# Left and right walk through the periods; a link to one opens it.
SCRIPT = """
const periods = [...document.querySelectorAll('details.period')];
const show = (period) => {
  period.open = true;
  period.querySelector('summary').focus({preventScroll: true});
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  period.scrollIntoView({block: 'nearest', behavior: still ? 'auto' : 'smooth'});
};
const named = () => {
  const period = location.hash && document.getElementById(location.hash.slice(1));
  if (period && period.matches('details.period')) show(period);
};
addEventListener('hashchange', named);
for (const link of document.querySelectorAll('a[href^="#"]'))
  link.addEventListener('click', () => setTimeout(named));
addEventListener('keydown', (event) => {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  const at = periods.indexOf(document.activeElement?.closest('details.period'));
  if (!step || at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const next = periods[at + step];
  if (next) { event.preventDefault(); show(next); }
});
named();
"""

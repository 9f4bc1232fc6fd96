"""The looks of the page: light, dark and printed; each text has a contrast of at least 4.5."""

STYLES = """\
:root { --paper: #fdfdfb; --ink: #1d1d1f; --quiet: #55565c; --line: #d9d9d4; --rail: #e9e9e4;
  --held: #2e6b34; --here: #1f5f8b; --above: #9a6b1f; --mark: #fff; }
@media (prefers-color-scheme: dark) { :root { --paper: #17181a; --ink: #ececec; --quiet: #b3b4ba;
  --line: #3a3b3f; --rail: #2a2b2f; --held: #7cc687; --here: #82bfe8; --above: #e0b266; --mark: #10222e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 2rem; margin: .1rem 0 .4rem; line-height: 1.2; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
.over { margin: 0; color: var(--quiet); overflow-wrap: anywhere; }
.quiet { color: var(--quiet); font-size: .92rem; }
.note { border-left: .25rem solid var(--above); padding-left: .7rem; }
a { color: var(--here); }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
svg { width: 100%; height: auto; font: 15px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .mark { fill: var(--mark); font-weight: 600; }
svg text.here { font-weight: 700; }
.rail { fill: var(--rail); } .fill.held { fill: var(--held); }
.fill.here { fill: var(--here); } .fill.above { fill: var(--above); }
ol { padding-left: 1.4rem; } li { margin: .45rem 0; overflow-wrap: anywhere; }
.effort { color: var(--quiet); white-space: nowrap; } .effort::before { content: "("; } .effort::after { content: ")"; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--line); } th[scope=row] { font-weight: 400; }
meter { width: 7rem; vertical-align: middle; }
details { border-bottom: 1px solid var(--line); } summary { padding: .4rem 0; cursor: pointer; }
summary:focus-visible, a:focus-visible { outline: 3px solid var(--here); outline-offset: 2px; }
.name { display: inline-block; min-width: 17rem; max-width: 100%; }
.tier { font-size: .85rem; font-weight: 600; } .tier.automated { color: var(--held); }
.tier.used { color: var(--here); } .tier.declared { color: var(--above); }
.tier.none { color: var(--quiet); font-weight: 400; }
.proof { font-size: .85rem; color: var(--held); } .proof.disproven { color: var(--above); }
pre { font: .82em/1.4 ui-monospace, Consolas, monospace; overflow-x: auto; background: var(--rail);
  padding: .5rem; }
code { font: .88em ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
q { color: var(--quiet); quotes: none; font: .85em ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
@media (prefers-color-scheme: light) { :root { --above: #7d5510; } }
@media (max-width: 32rem) { svg { font-size: 23px; } .name { min-width: 0; margin-right: .6rem; }
  meter { width: 4rem; } }
@media print { body { max-width: none; } details > * { display: block; } .skip { display: none; }
  details::details-content { content-visibility: visible; height: auto; } }"""

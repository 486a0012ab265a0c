"""Style sheet of the pages: for light and dark screens, wide and narrow ones. Nothing of a storage is in it."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f5f6f8; --line: #d5d9e0; --text: #1b1f24; --quiet: #59636e;
  --link: #0550ae; --good: #1a7f37; --warn: #9a6700; --bad: #b42318;
  --missing: #c2410c; --orphan: #1d5fbf; --mismatch: #8a3ffc; --light: 86%; --deep: 76%; --strength: 55%; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171c; --raised: #1d2229; --line: #3a424d; --text: #e6e9ee;
  --quiet: #9aa4b1; --link: #79b8ff; --good: #56d364; --warn: #e3b341; --bad: #ff8b7e;
  --missing: #f5894f; --orphan: #6ea8fe; --mismatch: #be95ff; --light: 26%; --deep: 34%; --strength: 32%; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--link); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .4rem 0; } .quiet { color: var(--quiet); }
nav, footer { font-size: .9rem; color: var(--quiet); } footer { margin-top: 3rem; border-top: 1px solid var(--line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding: .25rem 0; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; } thead th { color: var(--quiet); font-weight: 500; vertical-align: bottom; }
.right { text-align: right; } td.right, .whole { white-space: nowrap; }
.path { overflow-wrap: anywhere; min-width: 12rem; }
td small, th small { display: block; font-weight: 400; color: var(--quiet); font-size: .85em; }
.none { color: var(--quiet); }
.sign { display: inline-block; padding: 0 .5em; border: 1px solid; border-radius: 1em; font-size: .85rem;
  white-space: nowrap; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; padding: 0;
  margin: 1rem 0; }
.figures div { background: var(--raised); border-radius: .4rem; padding: .5rem .75rem; }
.figures dt { color: var(--quiet); font-size: .85rem; } .figures dd { margin: 0; font-size: 1.25rem; }
.figures small { display: block; color: var(--quiet); font-size: .85rem; }
.lines { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: .5rem 1.5rem; }
figure { margin: 0; } figcaption { font-size: .9rem; color: var(--quiet); }
svg { display: block; width: 100%; height: auto; } svg text { fill: var(--quiet); font: 12px system-ui, sans-serif; }
.missing { --colour: var(--missing); } .orphan { --colour: var(--orphan); } .mismatch { --colour: var(--mismatch); }
.line .grid { stroke: var(--line); } .line polyline, .spark polyline { fill: none; stroke: var(--colour);
  stroke-width: 2; stroke-linejoin: round; }
.line .below { fill: var(--colour); opacity: .13; } .line circle, .spark circle { fill: var(--colour); }
.line .mark line { stroke: var(--quiet); stroke-dasharray: 2 3; } .line .failed text { fill: var(--bad); }
.spark { width: 120px; height: 28px; }
.treemap a { text-decoration: none; } .treemap .narrow { display: none; }
.treemap rect { stroke: var(--ground); fill: hsl(var(--hue) var(--strength) var(--light)); }
.treemap .level0 rect { fill: hsl(var(--hue) var(--strength) var(--deep)); }
.treemap a:hover rect { stroke: var(--text); stroke-width: 2; }
.treemap text { fill: var(--text); pointer-events: none; } .treemap .amount { opacity: .75; }
.colour0 { --hue: 212; } .colour1 { --hue: 28; } .colour2 { --hue: 160; } .colour3 { --hue: 275; }
.colour4 { --hue: 48; } .colour5 { --hue: 340; } .colour6 { --hue: 190; } .colour7 { --hue: 95; }
.other { --hue: 215; --strength: 8%; }
@media (max-width: 40rem) { .treemap .narrow { display: block; } .treemap .wide { display: none; } }
.tree details, .tree .leaf { margin-left: 1.1rem; } .tree > details { margin-left: 0; }
.tree summary, .tree .leaf { padding: .15rem 0; } .tree summary { cursor: pointer; margin-left: -1.1rem; }
.tree > details > summary { margin-left: 0; }
.tree .name { overflow-wrap: anywhere; font-weight: 600; } .tree .leaf .name { font-weight: 400; }
.tree .share { display: inline-block; width: 5rem; height: .55rem; margin: 0 .5rem; background: var(--line); }
.tree .share rect { fill: var(--colour); } .tree .amount { color: var(--quiet); font-size: .9rem; }
.tree :target { outline: 2px solid var(--link); outline-offset: 2px; }
@media print { body { max-width: none; } .tree details { break-inside: avoid; } }
""".strip()

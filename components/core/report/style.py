"""The look of reports: one style sheet for pages, a short one for charts saved on their own."""

COLOURS = """
:root {
  color-scheme: light dark;
  --paper: #f6f6f3; --card: #ffffff; --ink: #1d2430; --muted: #646e7d; --line: #e1e3e8;
  --soft: #eef0f3; --s1: #2864d8; --s2: #d9741c; --s3: #1c8f68; --s4: #9a4fc0;
  --s5: #0e8aa0; --s6: #99800e; --bad: #c73e52;
  --heat: 40 100 216; --caution: #fff6e5; --caution-line: #eec069;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1217; --card: #181d24; --ink: #e7eaef; --muted: #98a2b0; --line: #2b323c;
    --soft: #222933; --s1: #72a7ff; --s2: #f2a560; --s3: #5ccba2; --s4: #c792ea;
    --s5: #5cc8dc; --s6: #d8c25a; --bad: #ff8291;
    --heat: 96 154 255; --caution: #2b2416; --caution-line: #7d6427;
  }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #fff; --card: #fff; --ink: #111; --muted: #555; --line: #ccc; --soft: #eee;
    --s1: #2864d8; --s2: #d9741c; --s3: #1c8f68; --s4: #9a4fc0;
    --s5: #0e8aa0; --s6: #99800e; --bad: #c73e52;
    --heat: 40 100 216; --caution: #fff6e5; --caution-line: #eec069;
  }
}
"""

CHART = """
svg text { font: 12px system-ui, sans-serif; fill: var(--muted);
  font-variant-numeric: tabular-nums; }
svg text.name { fill: var(--ink); }
svg text.strong { fill: var(--ink); font-weight: 600; }
svg text.on { fill: #fff; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--muted); stroke-width: 1; }
svg .dashed { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 3 3; fill: none; }
svg .series { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .c1 { stroke: var(--s1); } svg .c2 { stroke: var(--s2); }
svg .c3 { stroke: var(--s3); } svg .c4 { stroke: var(--s4); }
svg .c5 { stroke: var(--s5); } svg .c6 { stroke: var(--s6); }
svg circle.c1, svg rect.c1 { fill: var(--s1); stroke: none; }
svg circle.c2, svg rect.c2 { fill: var(--s2); stroke: none; }
svg circle.c3, svg rect.c3 { fill: var(--s3); stroke: none; }
svg circle.c4, svg rect.c4 { fill: var(--s4); stroke: none; }
svg circle.c5, svg rect.c5 { fill: var(--s5); stroke: none; }
svg circle.c6, svg rect.c6 { fill: var(--s6); stroke: none; }
svg .cell { fill: rgb(var(--heat)); } svg .frame { fill: none; stroke: var(--line); }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; }
"""

PAGE = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
main { max-width: 1060px; margin: 0 auto; padding: 40px 24px 64px; }
header .eyebrow { color: var(--s1); font-size: 13px; font-weight: 600; letter-spacing: .06em;
  text-transform: uppercase; }
h1 { font-size: 34px; line-height: 1.15; margin: 4px 0 6px; letter-spacing: -.02em;
  overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 48px 0 4px; letter-spacing: -.01em; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 6px 0 14px; max-width: 72ch; }
.meta, .hint, small { color: var(--muted); }
.meta { margin: 0; } .hint { font-size: 14.5px; }
.verdict { font-size: 20px; line-height: 1.5; margin: 26px 0 18px; max-width: 62ch; }
.verdict b { font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 18px 20px; margin: 14px 0; }
.scroll { overflow-x: auto; }
.notes { list-style: none; padding: 0; margin: 18px 0; display: grid; gap: 8px; }
.notes li { background: var(--caution); border: 1px solid var(--caution-line);
  border-radius: 10px; padding: 9px 14px 9px 40px; position: relative; font-size: 15px; }
.notes li::before { content: "!"; position: absolute; left: 14px; top: 11px; width: 17px;
  height: 17px; border-radius: 50%; background: var(--caution-line); color: #fff;
  font: 700 12px/17px system-ui, sans-serif; text-align: center; }
.cards { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 16px 18px 18px; }
.card .label { color: var(--muted); font-size: 14px; }
.card .value { font-size: 36px; line-height: 1.2; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.card .range { color: var(--muted); font-size: 14px; font-variant-numeric: tabular-nums; }
.track { position: relative; height: 10px; border-radius: 5px; background: var(--soft);
  min-width: 90px; }
.track i { position: absolute; display: block; }
.track .band { top: 2px; bottom: 2px; border-radius: 3px; background: rgb(var(--heat) / .38); }
.track .fill { top: 0; bottom: 0; left: 0; border-radius: 5px 0 0 5px;
  background: rgb(var(--heat) / .55); }
.track .point { top: -1px; width: 12px; height: 12px; margin-left: -6px; border-radius: 50%;
  background: var(--s1); border: 2px solid var(--card); }
.track .chance { top: -3px; bottom: -3px; width: 0; border-left: 2px dotted var(--muted); }
.track .whisker { top: 4px; height: 2px; background: var(--ink); }
.other .band { background: color-mix(in srgb, var(--s2) 38%, transparent); }
.other .point { background: var(--s2); }
.card .track { margin-top: 12px; }
.rows { display: grid; grid-template-columns: minmax(130px, auto) 1fr auto; gap: 14px 18px;
  align-items: center; grid-auto-flow: dense; }
.rows .name { grid-column: 1; } .rows .own, .rows .other { grid-column: 2; }
.rows .figure { grid-column: 3; font-variant-numeric: tabular-nums; white-space: nowrap; }
.rows .figure b { font-weight: 650; } .rows .head { grid-column: 1 / -1; font-weight: 600;
  border-top: 1px solid var(--line); padding-top: 12px; }
.rows .head:first-child { border: 0; padding: 0; }
.rows .head small { font-weight: 400; }
.charts { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
.charts .panel, .small .panel { margin: 0; min-width: 0; }
.small { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); }
.small .panel { padding: 12px 12px 8px; }
.small h3 { font-size: 13.5px; margin: 0; overflow-wrap: anywhere; }
.small small { font-size: 12.5px; }
svg { display: block; width: 100%; height: auto; }
svg.fixed { width: auto; max-width: none; margin: 0 auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
th { text-align: left; color: var(--muted); font-weight: 500; font-size: 13.5px; }
th, td { padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.bar { min-width: 180px; width: 34%; }
.sortable th[tabindex] { cursor: pointer; }
.sortable th[tabindex]:hover { color: var(--ink); }
.sortable th[aria-sort="ascending"]::after { content: " ↑"; }
.sortable th[aria-sort="descending"]::after { content: " ↓"; }
.samples { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(460px, 1fr)); }
.samples img { image-rendering: pixelated; }
td.key { white-space: nowrap; color: var(--muted); width: 1%; padding-right: 24px; }
td.code, code { font: 13px ui-monospace, SFMono-Regular, Menlo, monospace;
  overflow-wrap: anywhere; }
.mistakes { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  overflow: hidden; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; background: var(--soft); }
figcaption { padding: 10px 14px 12px; font-size: 14.5px; }
figcaption .id { display: block; color: var(--muted); font-size: 12.5px; overflow-wrap: anywhere; }
.said { color: var(--bad); font-weight: 600; } .truth { color: var(--s3); font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13.5px; color: var(--muted);
  margin: 12px 0 0; }
.legend i { display: inline-block; width: 12px; height: 12px; border-radius: 50%;
  margin-right: 7px; vertical-align: -1px; background: var(--s1); }
.legend .k2 { background: var(--s2); } .legend .k3 { background: var(--s3); }
.legend .k4 { background: var(--s4); } .legend .k5 { background: var(--s5); }
.legend .k6 { background: var(--s6); }
.legend .dots { width: 0; border-radius: 0; background: none;
  border-left: 2px dotted var(--muted); }
details > summary { cursor: pointer; color: var(--muted); font-size: 14.5px; }
footer { margin-top: 48px; color: var(--muted); font-size: 13.5px; }
@media (max-width: 620px) {
  main { padding: 24px 16px 48px; }
  h1 { font-size: 27px; } .verdict { font-size: 18px; }
  .panel { padding: 14px; } .cards { grid-template-columns: 1fr 1fr; gap: 10px; }
  .card { padding: 12px 13px 14px; } .card .value { font-size: 28px; }
  .rows { grid-template-columns: 1fr auto; gap: 8px 12px; }
  .rows .figure { grid-column: 2; }
  .rows .own, .rows .other { grid-column: 1 / -1; margin-bottom: 8px; }
  .small { grid-template-columns: 1fr 1fr; } .samples { grid-template-columns: 1fr; }
  td.bar { min-width: 120px; }
}
@media print {
  body { font-size: 11pt; } main { max-width: none; padding: 0; }
  .panel, .card, .small .panel, tr { break-inside: avoid; } h2 { break-after: avoid; }
}
"""

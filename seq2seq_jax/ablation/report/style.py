"""The style sheet of the report."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --card: #ffffff; --ink: #1d2227; --soft: #59626b;
  --line: #e1e3e5; --wash: #f3f4f4; --accent: #23577f;
  --good: #17663f; --good-wash: #e3f1e9; --bad: #9c3318; --bad-wash: #f9e8e2;
  --open: #7a5a06; --open-wash: #f8f0d9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181b; --card: #1b1f23; --ink: #e3e6e8; --soft: #a0a9b1;
    --line: #31373d; --wash: #22272c; --accent: #8fbfe6;
    --good: #86d3a8; --good-wash: #1a3427; --bad: #f0a48d;
    --bad-wash: #43241b; --open: #e5c878; --open-wash: #3a3119;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: break-word;
}
main { max-width: 1240px; margin: 0 auto; padding: 48px 32px 96px; }
h1, h2 {
  font-family: Charter, "Bitstream Charter", "Iowan Old Style", Georgia, serif;
  font-weight: 600; line-height: 1.2; text-wrap: balance;
}
h1 { font-size: 34px; margin: 0 0 8px; }
h2 { font-size: 23px; margin: 0 0 16px; }
h3 { font-size: 15px; font-weight: 600; margin: 28px 0 8px; }
p { margin: 0 0 12px; max-width: 76ch; text-wrap: pretty; }
section { margin-top: 60px; }
section, figure { scroll-margin-top: 16px; }
a { color: var(--accent); text-underline-offset: 3px; }
.soft, .paper { color: var(--soft); }
.paper { font-size: 16px; }
.note {
  margin-top: 20px; padding-left: 16px; border-left: 3px solid var(--line);
}
nav { margin-top: 24px; display: flex; flex-wrap: wrap; gap: 4px 20px; }
code, pre {
  font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace;
}
code { overflow-wrap: anywhere; }
pre {
  margin: 8px 0 0; padding: 12px 16px; background: var(--wash);
  border-radius: 6px; white-space: pre-wrap; overflow-wrap: anywhere;
}
.facts {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr));
  gap: 20px 28px; margin: 28px 0 0; padding: 20px 0;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line);
}
.facts dt { color: var(--soft); font-size: 13px; }
.facts dd { margin: 2px 0 0; font-variant-numeric: tabular-nums; }
.tag {
  display: inline-block; padding: 1px 9px; border-radius: 10px;
  font-size: 12.5px; line-height: 1.5; white-space: nowrap;
  color: var(--soft); background: var(--wash);
}
.good { color: var(--good); background: var(--good-wash); }
.bad { color: var(--bad); background: var(--bad-wash); }
.open { color: var(--open); background: var(--open-wash); }
.blank { background: none; box-shadow: inset 0 0 0 1px var(--line); }

summary { cursor: pointer; }
summary:focus-visible, a:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 2px;
}
.fold > summary { padding: 10px 0; font-weight: 500; }
.fold { border-bottom: 1px solid var(--line); }
.fold > :last-child:not(summary) { margin-bottom: 16px; }
.fold dl { margin: 4px 0; }
.fold dl > div {
  display: grid; grid-template-columns: 9em 1fr; gap: 0 20px;
  margin-bottom: 8px;
}
.fold dt { color: var(--soft); }
.fold dd { margin: 0; max-width: 70ch; }
.help { margin-top: 20px; border-bottom: 0; }
.below { margin-top: 12px; font-size: 13px; }

.wide { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 11px 10px; text-align: left; vertical-align: top; }
thead th {
  font-size: 13px; font-weight: 500; line-height: 1.35; color: var(--soft);
  vertical-align: bottom; border-bottom: 1.5px solid var(--ink);
}
tbody tr { border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; min-width: 9em; }
.num {
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
.main td, .main th { font-size: 14px; }
.main thead th { font-size: 13px; }
.main thead th, .main tbody th { background: var(--page); }
.main tr > :first-child {
  position: sticky; left: 0; z-index: 1; padding-left: 0;
}
.main .base { color: var(--soft); font-size: 13px; font-weight: 400; }
.minor { color: var(--soft); }
.range { display: block; color: var(--soft); font-size: 13px; }
.cell > summary {
  list-style: none; text-decoration: underline dotted var(--soft) 1px;
  text-underline-offset: 5px;
}
.cell > summary::-webkit-details-marker { display: none; }
.cell dl { margin: 8px 0 0; font-size: 13px; }
.cell dl > div { display: flex; gap: 14px; justify-content: space-between; }
.cell dt { color: var(--soft); }
.cell dd { margin: 0; }
.cell p {
  margin: 8px 0 0; font-size: 13px; text-align: left; white-space: normal;
  width: 13em;
}
.short td, .short th { padding-left: 0; padding-right: 20px; font-size: 14px; }

figure { margin: 0 0 48px; }
.paper-white {
  overflow-x: auto; background: #fff; color: #222; padding: 16px;
  border: 1px solid var(--line); border-radius: 8px;
}
.paper-white svg { display: block; margin: 0 auto; height: auto; }
figcaption {
  margin-top: 12px; color: var(--soft); max-width: 84ch; font-size: 14px;
}
.maps { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.maps svg { margin: 0; }
.maps > div { max-width: 100%; overflow-x: auto; }

.pair { padding: 20px 0; border-top: 1px solid var(--line); }
.pair p { margin: 0 0 6px; }
.pair .label { color: var(--soft); font-size: 13px; margin: 0; }
.two {
  display: grid; grid-template-columns: 1fr 1fr; gap: 16px; margin-top: 12px;
}
.two > div {
  background: var(--wash); border-radius: 6px; padding: 12px 16px; min-width: 0;
}
.two .ahead { box-shadow: inset 3px 0 0 var(--good); }
.label b { color: var(--ink); font-variant-numeric: tabular-nums; }
.run {
  display: grid;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr));
  gap: 8px 48px;
}
.run table td, .run table th {
  padding: 4px 16px 4px 0; font-size: 14px; min-width: 0; font-weight: 400;
}
.run td { overflow-wrap: anywhere; }
.run th { color: var(--soft); white-space: nowrap; }

@media (max-width: 700px) {
  main { padding: 28px 18px 64px; }
  h1 { font-size: 27px; }
  section { margin-top: 48px; }
  .facts { grid-template-columns: 1fr 1fr; gap: 14px 20px; }
  .two { grid-template-columns: 1fr; }
  .fold dl > div { grid-template-columns: 1fr; }
  .main, .main tbody, .short, .short tbody { display: block; }
  .main thead, .short thead {
    position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%);
  }
  .main tr {
    display: grid; grid-template-columns: repeat(12, 1fr); gap: 12px 8px;
    padding: 18px 0;
  }
  .main tr > * { padding: 0; min-width: 0; text-align: left; position: static; }
  .main tr > th { grid-column: 1 / -1; font-size: 16px; }
  .main td { grid-column: span 4; }
  .main tr > .two-thirds { grid-column: span 8; }
  .main tr > .verdict { grid-column: 9 / -1; }
  .main tr > .minor { grid-column: span 3; }
  .main td::before {
    content: attr(data-label); display: block; color: var(--soft);
    font-size: 12px;
  }
  .main .none { display: none; }
  .cell dl { max-width: 17em; }
  .cell dl > div { flex-wrap: wrap; gap: 0 14px; }
  .cell p { width: auto; }
  .short tr { display: block; padding: 14px 0; }
  .short td, .short th {
    display: block; padding: 2px 0; text-align: left; white-space: normal;
  }
  .short td:empty { display: none; }
  .short td[data-label]::before {
    content: attr(data-label) " "; color: var(--soft);
  }
  .paper-white { padding: 10px; }
  .maps svg { max-width: 100%; }
}
@media print {
  @page { size: A4 landscape; margin: 14mm; }
  :root {
    color-scheme: light; --page: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --wash: #f4f4f4;
  }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  section { margin-top: 28px; }
  tr, .pair, figure, .two > div { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .wide, .paper-white { overflow: visible; border: 0; }
  .paper-white svg { max-width: 100%; }
  .tag { box-shadow: inset 0 0 0 0.5px currentColor; }
  .main td, .main th, .main thead th { font-size: 11.5px; padding: 6px; }
  .main .range, .main .tag { font-size: 10.5px; }
}
"""

-- How report_html looks: one column of sections, which are lists where a telephone can show them
-- and tables in boxes of their own where it cannot. Colours mean something, and none stands alone:
-- a word, a sign or a height says the same.

create function maintenance_internal.report_style()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
return $style$
:root {
  color-scheme: light dark; --shade: #00000026;
  --page: #f7f7f5; --card: #ffffff; --line: #e2e3e0; --rail: #ebece9; --text: #1c2024;
  --muted: #5a626b; --ink: #4a5a6e; --ok: #1b7a4b; --ok-mark: #58b184; --notice: #2a5fb0;
  --warning: #8f5400; --warning-mark: #d98a1f; --critical: #b4231c; --ok-soft: #e7f4ec;
  --notice-soft: #e8eff9; --warning-soft: #fbf0dd; --critical-soft: #fbe9e7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --shade: #00000099; --page: #121518; --card: #1a1e22; --line: #2d3338; --rail: #2a3035;
    --text: #e7e9eb;
    --muted: #a0a9b2; --ink: #8fa3bd; --ok: #6bcb97; --ok-mark: #3f9c6d; --notice: #86b3f4;
    --warning: #e8b058; --warning-mark: #d9952f; --critical: #ff9088; --ok-soft: #173325;
    --notice-soft: #1a2b45; --warning-soft: #3a2b12; --critical-soft: #43201e;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: break-word;
}
main, header, footer { max-width: 72rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: clamp(1.5rem, 5vw, 3rem); }
h1, h2, h3, h4, p, ul, ol, dl, dd { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 {
  font-size: clamp(1.6rem, 1.2rem + 2vw, 2.4rem); line-height: 1.15; font-weight: 650;
  letter-spacing: -0.02em; overflow-wrap: anywhere;
}
h2 { font-size: 1.25rem; font-weight: 650; letter-spacing: -0.01em; }
h3, h4 { font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
section { padding: 2.25rem 0 0; }
a { color: var(--notice); }
time { white-space: nowrap; }
.kicker { color: var(--muted); font-size: 0.875rem; font-weight: 600; margin-bottom: 0.25rem; }
.meta { color: var(--muted); font-size: 0.875rem; margin-top: 0.5rem; }
.meta li { display: inline; }
.meta li + li::before { content: "/"; padding: 0 0.5em; opacity: 0.5; }
.lead { color: var(--muted); max-width: 48rem; margin-bottom: 1rem; font-size: 0.9375rem;
  text-wrap: pretty; }
.none, .card {
  background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem;
  padding: 1rem 1.125rem;
}
.none { color: var(--muted); }
.card + .card, .scroll + .card, .card + .scroll, .rows + .card, .none + .card, details,
details + .scroll { margin-top: 0.75rem; }
.verdict {
  display: flex; gap: 0.75rem; align-items: baseline; margin-top: 1.25rem;
  padding: 1rem 1.125rem; border-radius: 0.625rem; font-size: 1.25rem; font-weight: 600;
  line-height: 1.35;
}
.verdict.ok { background: var(--ok-soft); color: var(--ok); }
.verdict.warning { background: var(--warning-soft); color: var(--warning); }
.verdict.critical { background: var(--critical-soft); color: var(--critical); }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1px;
  margin-top: 0.75rem; background: var(--line); border: 1px solid var(--line);
  border-radius: 0.625rem; overflow: hidden;
}
.tiles div { background: var(--card); padding: 0.75rem 1.125rem; }
.tiles dt { color: var(--muted); font-size: 0.8125rem; }
.tiles dd { overflow-wrap: anywhere; font-size: 1.375rem; font-weight: 600; letter-spacing: -0.01em;
  line-height: 1.3; }
.tiles small { display: block; color: var(--muted); font-size: 0.8125rem; font-weight: 400;
  letter-spacing: 0; }
.toc { margin-top: 1rem; font-size: 0.875rem; display: flex; flex-wrap: wrap; }
.toc a { display: inline-block; padding: 0.25rem 1rem 0.25rem 0; text-decoration: none; }
.toc a:hover { text-decoration: underline; }
.badge {
  display: inline-block; white-space: nowrap; font-size: 0.8125rem; font-weight: 600;
  line-height: 1.5; padding: 0 0.5rem; border-radius: 0.375rem; background: var(--rail);
  color: var(--text);
}
.badge .sign { margin-right: 0.35em; }
.badge.ok { background: var(--ok-soft); color: var(--ok); }
.badge.notice { background: var(--notice-soft); color: var(--notice); }
.badge.warning { background: var(--warning-soft); color: var(--warning); }
.badge.critical { background: var(--critical-soft); color: var(--critical); }
.item { border-left: 4px solid var(--line); }
.item.critical { border-left-color: var(--critical); }
.item.warning { border-left-color: var(--warning-mark); }
.item-head { display: flex; flex-wrap: wrap; gap: 0.25rem 0.75rem; align-items: baseline; }
.item-head h3, .item-head h4 { flex: 0 1 auto; }
.item-head .when { margin-left: auto; }
.when, .note { color: var(--muted); font-size: 0.875rem; }
.note { margin-top: 0.125rem; overflow-wrap: anywhere; }
.advice code:last-child { margin-bottom: 0.125rem; }
h3.sub { margin: 1.25rem 0 0.75rem; }
.gap { height: 0.75rem; }
.error { margin-top: 0.375rem; font-size: 0.9375rem; overflow-wrap: anywhere; }
.advice { margin-top: 0.5rem; font-size: 0.9375rem; overflow-wrap: anywhere; }
code {
  display: block; margin: 0.375rem 0; padding: 0.4375rem 0.75rem; border-radius: 0.375rem;
  background: var(--page); border: 1px solid var(--line); white-space: pre-wrap;
  overflow-wrap: anywhere; user-select: all;
  font: 0.8125rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
.rows { background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem; }
.row {
  display: grid; grid-template-columns: minmax(0, 15rem) minmax(0, 1fr) minmax(0, 13rem);
  gap: 0 1.25rem; align-items: center; padding: 0.5rem 1.125rem;
}
.row + .row { border-top: 1px solid var(--line); }
.row .name { font-weight: 600; font-size: 0.9375rem; overflow-wrap: anywhere; line-height: 1.35; }
.row .aside { font-size: 0.875rem; color: var(--muted); overflow-wrap: anywhere; }
.row .aside b { color: var(--text); font-weight: 600; }
.row .aside .bad { color: var(--critical); font-weight: 600; }
.row .aside .odd { color: var(--warning); font-weight: 600; }
.due .row { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr) 5rem 14rem; }
.due .row .badge { margin-bottom: 0.125rem; }
.idle { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr));
  gap: 0.125rem 2rem; margin-top: 0.5rem; font-size: 0.875rem; }
.idle li { display: flex; flex-wrap: wrap; gap: 0 0.375rem; align-items: baseline; min-width: 0; }
.idle .name { overflow-wrap: anywhere; }
.idle .sign { color: var(--ok); }
.idle .when { margin-left: auto; white-space: nowrap; font-size: 0.8125rem; }
.due .row .count { text-align: right; font-weight: 600; white-space: nowrap; }
.lanes .row { grid-template-columns: minmax(0, 17rem) minmax(0, 1fr) minmax(0, 12rem); }
.lanes .row .name { font-size: 0.875rem; }
.lanes .row .aside span { white-space: nowrap; margin-left: 0.375rem; }
.pair { display: grid; grid-template-columns: 1fr auto; gap: 0.125rem 0.75rem;
  align-items: center; font-size: 0.8125rem; color: var(--muted); }
.pair span { min-width: 7.5rem; text-align: right; }
svg { display: block; width: 100%; overflow: hidden; }
.bar { height: 0.625rem; border-radius: 0.1875rem; }
.strip { height: 1.375rem; }
.rail { fill: var(--rail); }
.ink { fill: var(--ink); }
.m0 { fill: var(--muted); } .m1 { fill: var(--ok-mark); } .m2 { fill: var(--notice); }
.m3 { fill: var(--warning-mark); } .m4 { fill: var(--critical); }
.grid { stroke: var(--line); stroke-width: 1px; vector-effect: non-scaling-stroke; fill: none; }
.now { stroke: var(--muted); stroke-width: 1px; vector-effect: non-scaling-stroke; fill: none;
  stroke-dasharray: 2 2; }
.axis {
  display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); color: var(--muted);
  font-size: 0.75rem; line-height: 1.4; padding-top: 0.125rem;
}
.row.axis-row { padding-top: 0.375rem; padding-bottom: 0.25rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; margin-top: 0.625rem;
  color: var(--muted); font-size: 0.8125rem; }
.legend li { display: flex; align-items: center; gap: 0.4rem; }
.legend svg { width: 0.75rem; height: 1.125rem; }
.columns { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr);
  gap: clamp(0.25rem, 1.5vw, 1.25rem); }
.column { text-align: center; font-size: 0.8125rem; white-space: nowrap; }
.plot { height: 8.5rem; display: flex; flex-direction: column; justify-content: flex-end;
  border-bottom: 1px solid var(--muted); }
.plot svg { flex: none; width: min(80%, 3.5rem); align-self: center; margin-bottom: -1px;
  border-radius: 0.1875rem 0.1875rem 0 0; }
.plot b { font-weight: 600; line-height: 1.6; }
.plot .no { color: var(--muted); font-weight: 400; }
.column .day { color: var(--muted); font-size: 0.75rem; line-height: 1.4; padding-top: 0.25rem;
  white-space: normal; }
.many { border-bottom: 1px solid var(--muted); height: 8.5rem; }
.most { color: var(--muted); font-size: 0.8125rem; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 0.625rem; }
.scroll:focus-visible, a:focus-visible, summary:focus-visible {
  outline: 2px solid var(--notice); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th, td { padding: 0.5rem 0.75rem; text-align: left; vertical-align: baseline; }
th:first-child, td:first-child { padding-left: 1.125rem; }
th:last-child, td:last-child { padding-right: 1.125rem; }
thead th { color: var(--muted); font-weight: 600; font-size: 0.8125rem; white-space: nowrap;
  vertical-align: bottom; }
tbody tr { border-top: 1px solid var(--line); }
tbody th { font-weight: 600; }
th, td { white-space: nowrap; }
.n { text-align: right; white-space: nowrap; }
td.text { white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--notice); font-size: 0.875rem; padding: 0.25rem 0; }
details .scroll { margin-top: 0.25rem; }
footer { color: var(--muted); font-size: 0.8125rem; padding-top: 2.5rem; padding-bottom: 3rem; }
@media (max-width: 62rem) {
  .row, .due .row { grid-template-columns: minmax(0, 1fr) auto; gap: 0.125rem 0.75rem;
    padding: 0.625rem 1rem; }
  .row .chart { grid-column: 1 / -1; grid-row: 2; padding: 0.25rem 0; }
  .row .aside { grid-column: 1 / -1; }
  .lanes .row { display: flex; flex-wrap: wrap; justify-content: space-between; }
  .lanes .row .chart { order: 1; flex: 1 0 100%; }
  .lanes .row .aside span:first-child { margin-left: 0; }
  .scroll { background:
      linear-gradient(to right, var(--card), transparent) left / 2.5rem 100%,
      linear-gradient(to left, var(--card), transparent) right / 2.5rem 100%,
      linear-gradient(to right, var(--shade), transparent) left / 0.875rem 100%,
      linear-gradient(to left, var(--shade), transparent) right / 0.875rem 100%, var(--card);
    background-repeat: no-repeat; background-attachment: local, local, scroll, scroll, local; }
  .plot b { font-size: 0.6875rem; letter-spacing: -0.03em; }
  .idle { grid-template-columns: minmax(0, 1fr); gap: 0.375rem; }
  .idle .when { flex: 0 0 100%; margin-left: 0; padding-left: 1.25rem; }
  .idle .when:empty { display: none; }
  .axis, .column .day { word-spacing: 100vw; }
  code { font-size: 0.75rem; padding: 0.4375rem 0.625rem; }
  .row.axis-row > :first-child, .row.axis-row > :last-child { display: none; }
  .item-head .when { margin-left: 0; width: 100%; }
  .card, .none { padding: 0.875rem 1rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .tiles div { padding: 0.625rem 1rem; }
}
@media print {
  body { background: none; } .toc { display: none; } .card, .rows { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: 0.75rem; }
  th, td, thead th, .n, .badge { white-space: normal; padding: 0.25rem 0.375rem;
    overflow-wrap: anywhere; min-width: 0; }
}
$style$;

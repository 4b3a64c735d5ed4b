"""The report's HTML as a Jinja2 template: one file, plain CSS, nothing fetched from anywhere.

A Python string, not a data file, so that a wheel, the source tree and Slicer's install all carry it.
"""

STYLE = """<style>
:root { --ink: #1d2530; --soft: #5b6776; --line: #dde3ea; --paper: #fff; --tint: #f5f7fa; --accent: #7b2d6e; }
* { box-sizing: border-box; }
body { margin: 0; background: #e9edf2; color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; background: var(--paper); padding: 2rem 2.5rem 3rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 2px solid var(--accent); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; }
.soft { color: var(--soft); font-size: .88rem; }
.banner { margin: 1rem 0 0; padding: .6rem .9rem; border-radius: 6px; font-weight: 600; }
.research { background: #fff3d6; border: 1px solid #e6b84c; }
.attention { background: #fff; border: 1px solid #d9a441; font-weight: 400; font-size: .92rem; }
.banner > span { font-weight: 400; }
.simulated { background: #e7e9fb; border: 1px solid #8c96dd; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: .7rem; margin: 1.2rem 0; }
.card { background: var(--tint); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .82rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: .88rem; padding-bottom: .3rem; }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child, .text th, .text td { text-align: left; }
td:first-child { white-space: nowrap; } .text td:first-child { white-space: normal; }
thead th { background: var(--tint); border-bottom: 1px solid #b9c3cf; font-weight: 600; }
tr.whole td { font-weight: 600; }
tr.model td { background: #faf3f9; font-weight: 600; }
figure { margin: .8rem 0; }
figure img { width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .85rem; }
.status { display: inline-block; min-width: 3.4rem; text-align: center; border-radius: 4px; font-weight: 600;
  font-size: .8rem; padding: .05rem .3rem; border: 1px solid; }
.PASS { color: #0b5b3b; background: #e2f4ec; } .WARN { color: #7a4b00; background: #fff0d1; }
.FAIL { color: #8c1320; background: #fde5e7; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
code, pre { font: .82rem/1.45 ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: var(--tint); border: 1px solid var(--line); border-radius: 6px;
  padding: .7rem; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 0 2rem; }
footer { margin-top: 2.5rem; padding-top: .6rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .85rem; }
@media (max-width: 700px) { main { padding: 1rem; } .columns { grid-template-columns: 1fr; } }
@media print {
  @page { margin: 14mm; }
  body { background: #fff; font-size: 10.5pt; } main { padding: 0; max-width: none; }
  .banner, .card, thead th, .status, tr.model td { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  figure, table, .cards { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
</style>"""
"""The look of every report."""

TEMPLATE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CT perfusion mapping – {{ title }}</title>
"""
    + STYLE
    + """
</head>
<body>
<main>
<h1>CT perfusion mapping</h1>
<p class="soft">{{ title }} · model {{ result.model.name }} {{ result.model.version }}
· {{ result.software.name }} {{ result.software.version }}{% if made %} · {{ made }}{% endif %}</p>
<p class="banner research">{{ result.research_use_only }}<br><span>Model: {{ result.model.intended_use }}</span></p>
{% if result.simulated %}
<p class="banner simulated">
Simulated: every image and number here comes from a virtual patient, not from a person.</p>
{% endif %}
{% if attention %}
<div class="banner attention">Before believing the map:
<ul>{% for check in attention %}<li><span class="status {{ check.status }}">{{ check.status }}</span>
{{ check.message }}</li>
{% endfor %}</ul></div>
{% endif %}

<div class="cards">
{% for card in cards %}<div class="card"><b>{{ card.value }}</b><span>{{ card.label }}</span></div>
{% endfor %}</div>
<p class="soft">{{ result.notes.perfusion }}</p>

<h2>Perfusion map</h2>
{% for figure in map_figures %}
<figure><img alt="{{ figure.caption }}" src="{{ figure.source }}">
<figcaption>{{ figure.caption }}</figcaption></figure>
{% endfor %}

<h2>Regions</h2>
<table>
<thead><tr><th>Region</th><th>Volume (ml)</th><th>Mean perfusion</th><th>Share of perfusion (%)</th>
<th>Share of volume (%)</th><th>High-functional (ml)</th><th>Low-functional (ml)</th></tr></thead>
<tbody>
{% for row in regions %}<tr{% if row.whole %} class="whole"{% endif %}><td>{{ row.name }}</td>
<td>{{ row.volume_ml | figure(0) }}</td><td>{{ row.mean | figure(3) }}</td>
<td>{{ row.perfusion_percent | figure(1) }}</td><td>{{ row.volume_percent | figure(1) }}</td>
<td>{{ row.high_ml | figure(0) }}</td><td>{{ row.low_ml | figure(0) }}</td></tr>
{% endfor %}</tbody>
</table>
<p class="soft">{{ result.notes.shares }}</p>
<h3>Definitions</h3>
<ul class="soft">
{% for line in definitions %}<li>{{ line }}</li>
{% endfor %}</ul>

{% if agreement %}
<h2>Agreement with the SPECT</h2>
{% for figure in spect_figures %}
<figure{% if figure.narrow %} style="max-width: 520px"{% endif %}>
<img alt="{{ figure.caption }}" src="{{ figure.source }}">
<figcaption>{{ figure.caption }}</figcaption></figure>
{% endfor %}
{% for table in agreement %}
<table>
<caption>{{ table.title }}</caption>
<thead><tr><th>Map</th><th>R (Spearman)</th><th>R (Pearson)</th><th>SSIM</th><th>DSC high</th><th>DSC low</th>
<th>κ</th></tr></thead>
<tbody>
{% for row in table.rows %}<tr{% if loop.first %} class="model"{% endif %}><td>{{ row.name }}</td>
<td>{{ row.r_spearman | figure(3) }}</td><td>{{ row.r_pearson | figure(3) }}</td><td>{{ row.ssim | figure(3) }}</td>
<td>{{ row.dsc_high | figure(3) }}</td><td>{{ row.dsc_low | figure(3) }}</td><td>{{ row.kappa | figure(3) }}</td></tr>
{% endfor %}</tbody>
</table>
{% endfor %}
{% for line in agreement_notes %}<p class="soft">{{ line }}</p>
{% endfor %}
{% endif %}

<h2>Checks and warnings</h2>
{% if result.quality %}
<table class="text">
<thead><tr><th>Check</th><th>Result</th><th>What was seen</th></tr></thead>
<tbody>
{% for check in result.quality %}<tr><td>{{ check.check }}</td>
<td><span class="status {{ check.status }}">{{ check.status }}</span></td><td>{{ check.message }}</td></tr>
{% endfor %}</tbody>
</table>
{% endif %}
{% if result.warnings %}<ul>{% for warning in result.warnings %}<li>{{ warning }}</li>{% endfor %}</ul>
{% else %}<p class="soft">No other warnings.</p>{% endif %}

<h2>Model</h2>
<table class="text"><tbody>
<tr><td>Name, version</td><td>{{ result.model.name }} {{ result.model.version }}</td></tr>
<tr><td>Intended use</td><td>{{ result.model.intended_use }}</td></tr>
<tr><td>SHA-256</td><td><code>{{ result.model.sha256 }}</code></td></tr>
</tbody></table>
{% if card_excerpt %}
<details><summary class="soft">From the model card</summary><pre>{{ card_excerpt }}</pre></details>
{% endif %}

<h2>Methods</h2>
<p>{{ methods }}</p>
<p class="soft">{{ citation }}</p>

<h2>Settings and timings</h2>
<div class="columns">
<div>
{% for group, values in settings %}<h3>{{ group }}</h3>
<table class="text"><tbody>
{% for name, value in values %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}</tbody></table>
{% endfor %}</div>
<div>
<h3>Seconds</h3>
<table><tbody>
{% for name, seconds in timings %}<tr><td>{{ name }}</td><td>{{ seconds | figure(2) }}</td></tr>
{% endfor %}</tbody></table>
<h3>Input</h3>
<table class="text"><tbody>
{% for name, value in inputs %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}</tbody></table>
</div>
</div>

<footer>{{ result.software.name }} {{ result.software.version }} · device: {{ result.device }}
· {{ result.research_use_only }}</footer>
</main>
</body>
</html>
"""
)

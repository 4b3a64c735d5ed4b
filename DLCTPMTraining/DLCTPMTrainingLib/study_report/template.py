"""The study report's HTML as a Jinja2 template: one file that fetches nothing, in the look of every report."""

from __future__ import annotations

from DLCTPMLib.results.template import STYLE

TEMPLATE = (
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Study – {{ title }}</title>
"""
    + STYLE
    + """
<style>
main { max-width: 1200px; } .scroll { overflow-x: auto; } th { white-space: nowrap; }
.scroll td:not(:first-child) { white-space: pre; } .scroll td:first-child { white-space: normal; }
.scroll table { font-size: .82rem; } .scroll td, .scroll th { padding: .28rem .4rem; }
figure.narrow { max-width: 640px; }
</style>
</head>
<body>
<main>
<h1>CT perfusion mapping: study</h1>
<p class="soft">{{ title }} · {{ software }}</p>
<p class="banner research">{{ research_use_only }}</p>
{% if origin.banner %}
<p class="banner simulated">{{ origin.banner }}</p>
{% endif %}
{% if origin.warning %}
<p class="banner attention">{{ origin.warning }}</p>
{% endif %}
{% if reduced %}
<p class="banner attention"><b>Reduced study.</b> {{ reduced }}</p>
{% endif %}

<div class="cards">
{% for card in cards %}<div class="card"><b>{{ card.value }}</b><span>{{ card.label }}</span></div>
{% endfor %}</div>

<h2>What it comes to</h2>
<ul>
{% for sentence in verdicts %}<li>{{ sentence }}</li>
{% endfor %}</ul>

{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for part in section.parts %}
{% if part.kind == "table" %}
<div class="scroll"><table>
<caption>{{ part.table.title }}{% if origin.tag %} <b>({{ origin.tag }})</b>{% endif %}</caption>
<thead><tr>{% for name in part.table.columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in part.table.rows %}<tr{% if loop.index0 in part.table.emphasis %} class="model"{% endif %}>
{% for cell in row %}<td>{{ cell | replace(' [', '\n[') }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% if part.table.note %}<p class="soft">{{ part.table.note }}</p>{% endif %}
{% else %}
<figure{% if part.narrow %} class="narrow"{% endif %}><img alt="{{ part.caption }}" src="{{ part.source }}">
<figcaption>{{ part.caption }}</figcaption></figure>
{% endif %}
{% endfor %}
{% endfor %}

<h2>What was noticed</h2>
{% if warnings %}<ul>{% for warning in warnings %}<li>{{ warning }}</li>
{% endfor %}</ul>{% else %}<p class="soft">Nothing.</p>{% endif %}

<h2>Methods</h2>
<p>{{ methods }}</p>
<p class="soft">{{ citation }}</p>
<div class="columns">
{% for group, values in settings %}<div><h3>{{ group }}</h3>
<table class="text"><tbody>
{% for name, value in values %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>
{% endfor %}</tbody></table></div>
{% endfor %}</div>

<footer>{{ software }} · {{ research_use_only }}{% if origin.simulated %} · {{ origin.kind() }}{% endif %}</footer>
</main>
</body>
</html>
"""
)

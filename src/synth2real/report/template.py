"""The report's page as a Jinja2 template: one file, no script or style from elsewhere."""

from typing import Final

PAGE: Final = """\
{% macro number(value, digits=2) %}{{ "–" if value is none else ("%.*f" % (digits, value)) }}{% endmacro %}
{% macro interval(bounds) %}{{ "–" if bounds is none else "%.1f to %.1f" % bounds }}{% endmacro %}
{% macro scalar(value) -%}
  {%- if value is none %}–
  {%- elif value is sameas true %}yes{% elif value is sameas false %}no
  {%- elif value is number %}{{ value }}
  {%- elif value is sequence and value is not string %}
    {%- for item in value %}{{ scalar(item) }}{{ ", " if not loop.last }}{% endfor %}
  {%- else %}{{ value }}{% endif -%}
{% endmacro %}
{% macro tree(node) %}
  {% set cells = cells_of(node) %}
  {% if cells %}
    <div class="scroll"><table><thead><tr><th></th>
    {%- for name in (cells.values() | first) %}<th>{{ words(name) }}</th>{% endfor %}</tr></thead>
    <tbody>{% for name, row in cells.items() %}<tr><th>{{ words(name) }}</th>
      {%- for value in row.values() %}<td>{{ scalar(value) }}</td>{% endfor %}</tr>
    {% endfor %}</tbody></table></div>
  {% else %}
    <dl>{% for name, value in node.items() %}
      {% if value is mapping %}<div class="branch"><dt>{{ words(name) }}</dt><dd>{{ tree(value) }}</dd></div>
      {% else %}<div><dt>{{ words(name) }}</dt><dd>{{ scalar(value) }}</dd></div>{% endif %}
    {% endfor %}</dl>
  {% endif %}
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>synth2real: report</title>
<style>
:root { --ink: #1c2430; --quiet: #5c6876; --line: #dde2e8; --accent: #1f5f99; --opacity: 1; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(0.9rem, 3vw, 2.5rem) 4rem; max-width: 82rem; color: var(--ink); background: #fff;
       font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 0.3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.6rem; padding-top: 0.9rem; border-top: 1px solid var(--line); }
h3 { font-size: 0.95rem; margin: 1.4rem 0 0.4rem; color: var(--quiet); font-weight: 600; overflow-wrap: anywhere; }
p { margin: 0.3rem 0 0.8rem; max-width: 52rem; color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { padding: 0.28rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { font-weight: 600; color: var(--quiet); vertical-align: bottom; }
tbody th { font-weight: 500; }
.left { text-align: left; }
.best { font-weight: 700; }
.quiet { color: var(--quiet); }
.bar { display: inline-block; height: 0.7em; background: var(--accent); border-radius: 2px; vertical-align: baseline; }
.bars { width: 34%; min-width: 8rem; text-align: left; }
.wide { width: 100%; }
.chip { display: inline-block; width: 0.95em; height: 0.95em; border-radius: 3px; margin-right: 0.45em; vertical-align: -0.1em;
        border: 1px solid #0003; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; margin: 0.5rem 0; font-size: 0.9rem; }
.slider { position: sticky; top: 0; z-index: 2; background: #fffffff2; padding: 0.5rem 0; display: flex; gap: 0.8rem;
          align-items: center; font-size: 0.9rem; border-bottom: 1px solid var(--line); }
.slider input { flex: 0 1 16rem; accent-color: var(--accent); }
.grid { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.7rem; }
figure { margin: 0; cursor: zoom-in; }
figure div { background: var(--photo) 0 0 / 100% 100%; border-radius: 4px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figure img.map { image-rendering: pixelated; opacity: var(--opacity); }
figcaption { font-size: 0.82rem; color: var(--quiet); padding-top: 0.15rem; }
figure.zoom { position: fixed; inset: 0; z-index: 9; background: #10151cf2; cursor: zoom-out;
              display: flex; flex-direction: column; align-items: center; justify-content: center; }
figure.zoom div { width: min(96vw, calc(88vh * var(--ratio))); }
figure.zoom figcaption { color: #fff; font-size: 1rem; padding-top: 0.6rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 46vw), 1fr)); gap: 0.4rem; }
.panels img { width: 100%; height: auto; }
.plot { max-width: 100%; height: auto; display: block; }
dl { margin: 0; font-size: 0.92rem; display: flex; flex-wrap: wrap; gap: 0 2.6rem; align-items: flex-start; }
dl > div { flex: 1 1 100%; display: flex; gap: 0.8rem; padding: 0.15rem 0; border-bottom: 1px solid #eef1f4; }
dl > div.branch { display: block; flex: 0 1 auto; max-width: 100%; min-width: min(14rem, 100%);
                  border-bottom: 0; padding-top: 0.6rem; }
dt { flex: 0 0 15rem; color: var(--quiet); }
.branch > dt { color: var(--ink); font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
.branch > dd { padding-left: 0.9rem; border-left: 2px solid var(--line); }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 46rem) {
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.45rem; }
  dt { flex-basis: 9rem; }
  .bars { display: none; }
  .wide { width: auto; }
}
@media print { .slider { display: none; } figure { break-inside: avoid; } }
</style>
</head>
<body>
<h1>From synthetic to real streets</h1>
<p>{{ table.frames }} annotated frames of the target, split <b>{{ table.split }}</b>, scored in
<b>{{ table.label_space }}</b> ({{ classes | length }} classes) by the Cityscapes rules.
Intersection over union and pixel accuracy in %. No model but the oracle, where there is one, has seen a label of the target.</p>

<h2>Summary</h2>
<div class="scroll"><table class="wide">
<thead><tr><th>Model</th><th class="left">Fusion</th><th>mIoU</th>{% if has_seeds %}<th>sd</th>{% endif %}
<th>interval</th><th>classes</th><th class="bars"></th>
<th>over source only</th>{% if has_oracle %}<th>gap closed</th>{% endif %}<th>Pixel accuracy</th></tr></thead>
<tbody>
{% for row in table.rows %}
<tr{% if row.model == majority %} class="quiet"{% endif %}>
<td>{{ "always “" ~ table.majority_class ~ "”" if row.model == majority else words(row.model) }}</td>
<td class="left">{{ "–" if row.model == majority else ("fused" if row.is_fused else "no") }}</td>
<td{% if row.miou == best_miou and row.model != "oracle" %} class="best"{% endif %}>{{ number(row.miou) }}</td>
{% if has_seeds %}<td>{{ number(row.miou_sd) }}</td>{% endif %}
<td>{{ interval(row.miou_interval) }}</td>
<td>{{ "–" if row.classes_present is none else row.classes_present }}</td>
<td class="bars"><span class="bar" style="width: {{ row.miou }}%{{ "; opacity: 0.45" if not row.is_fused }}"></span></td>
<td>{% if reference is not none and row.model != majority %}{{ "%+.2f" % (row.miou - reference) }}{% else %}–{% endif %}</td>
{% if has_oracle %}<td>{{ "–" if row.gap_closed is none else "%.0f%%" % row.gap_closed }}</td>{% endif %}
<td>{{ number(row.pixel_accuracy) }}</td>
</tr>
{% endfor %}
</tbody></table></div>
<p>The first row is the baseline that needs no model: the constant prediction that scores best. <i>Fused</i>: detected objects are
pasted over the model's prediction. <i>Interval</i>: of resampled frames. <i>Classes</i>: those that are annotated or predicted;
the mean is over them.
{% if has_seeds %}Every score is the mean of {{ table.seeds | length }} trainings, with the seeds {{ table.seeds | join(", ") }};
<i>sd</i> is their standard deviation.{% endif %}
{% if has_oracle %}<i>Gap closed</i>: share of the way from the first model to the oracle, which learnt from the target's
labels.{% endif %}</p>
<img class="plot" src="{{ ladder }}" alt="mIoU of each model">
<p>Dots: means; lines: intervals over frames; strokes: single trainings; dotted: the first model
{{- " and the oracle, with the share of the gap closed" if has_oracle }}.</p>

{% if table.gains %}
<h2>Gains</h2>
<div class="scroll"><table>
<thead><tr><th>Step</th><th class="left">over</th><th class="left">Fusion</th><th>mIoU</th>
{% if has_seeds %}<th>sd</th>{% endif %}<th>interval</th><th>classes gained</th><th>classes lost</th></tr></thead>
<tbody>
{% for gain in table.gains %}
<tr><td>{{ words(gain.step) }}</td><td class="left">{{ words(gain.over) }}</td>
<td class="left">{{ "both" if gain.is_fused else "–" }}</td>
<td{% if gain.miou_interval[0] > 0 or gain.miou_interval[1] < 0 %} class="best"{% endif %}>{{ "%+.2f" % gain.miou }}</td>
{% if has_seeds %}<td>{{ number(gain.miou_sd) }}</td>{% endif %}
<td>{{ interval(gain.miou_interval) }}</td><td>{{ gain.classes_gained }}</td><td>{{ gain.classes_lost }}</td></tr>
{% endfor %}
</tbody></table></div>
<p>Percentage points on the same frames; bold where the interval excludes zero. Intervals are of resampled frames: they do
not hold what another seed of the training would change, and frames of one street resemble each other.</p>
{% endif %}

<h2>Classes</h2>
<div class="scroll"><table>
<thead><tr><th>IoU</th>{% for row in models %}
<th>{{ words(row.model) }}{% if row.is_fused %}<br>fused{% endif %}</th>{% endfor %}</tr></thead>
<tbody>
{% for name, colour in classes %}
<tr><td><span class="chip" style="background: {{ colour }}"></span>{{ name }}</td>
{%- for row in models %}{% set value = row.iou.get(name) %}
<td style="background: rgb(31 95 153 / {{ "%.3f" % ((value or 0) / 260) }})"
{%- if value is not none and value == best[name] and row.model != "oracle" %} class="best"{% endif %}>{{ number(value, 1) }}</td>
{%- endfor %}</tr>
{% endfor %}
</tbody></table></div>
<p>Bold: the best without the oracle. A dash: the class is neither annotated nor predicted, and left out of the mean.</p>

<h2>Pictures</h2>
<p>Frames spread evenly over the split; black is not annotated, or outside of the classes. Click to enlarge.</p>
<div class="legend">{% for name, colour in classes %}
<span><span class="chip" style="background: {{ colour }}"></span>{{ name }}</span>{% endfor %}</div>
<label class="slider">Photo <input type="range" min="0" max="1" step="0.05" value="1"
  oninput="document.documentElement.style.setProperty('--opacity', this.value)"> Colours</label>
{% for frame in pictures %}
<h3>{{ frame.name }}</h3>
<div class="grid" style="--ratio: {{ frame.ratio }}; --photo: url({{ frame.photo }})">
<figure><div><img src="{{ frame.photo }}" alt="photo"></div><figcaption>image</figcaption></figure>
{% for caption, uri in frame.maps %}
<figure><div><img class="map" src="{{ uri }}" alt="{{ caption }}"></div><figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
</div>
{% endfor %}

<h2>Training</h2>
{% for name, panels in curves %}
<h3>{{ words(name) }}</h3>
<div class="panels">{% for column, uri in panels.items() %}<img src="{{ uri }}" alt="{{ column }} over steps">{% endfor %}</div>
{% endfor %}

{% for title, content, grids in statistics %}
<h2>{{ title }}</h2>
{{ tree(content) }}
{% for name, uri in grids.items() %}<h3>{{ words(name) }}</h3><img class="plot" src="{{ uri }}" alt="{{ title }}">{% endfor %}
{% endfor %}

<h2>Settings</h2>
<details><summary>params.yaml</summary>{{ tree(params) }}</details>
<script>
document.querySelectorAll("figure").forEach(figure => figure.addEventListener("click", () => figure.classList.toggle("zoom")));
document.addEventListener("keydown", event => {
  if (event.key === "Escape") document.querySelectorAll("figure.zoom").forEach(figure => figure.classList.remove("zoom"));
});
</script>
</body>
</html>
"""

"""The report's page as a Jinja2 template: one file, no script or style from elsewhere."""

from typing import Final

NOTES: Final = {
    "Data": "Pixel share, frame share, small (below 32 x 32 pixels), truncated (at the frame's border) and instance agreement: "
    "from 0 to 1. Median area in pixels. Height: 10th, 50th and 90th percentile of the boxes' heights in pixels.",
    "Translation": "Distances to the target's images: fd (fid) and kd (kid) of features, without unit, and colour in 8-bit "
    "steps; lower is closer, low and high bound their intervals. Precision and recall: from 0 to 1. Diversity: half the mean "
    "squared distance of two images' features. Content, what a segmenter still finds: in %.",
    "Detector": "Average precision (ap), precision, recall, calibration error (ece) and mean score in %. The scores from which "
    "precision and recall count, and from which half of the detections are right: from 0 to 1.",
    "Pseudo-labels": "In %; thresholds: confidences from 0 to 1.",
}
"""Meaning and unit of what a further section shows, by its title."""

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
{% macro entries(items) %}
  <dl>{% for name, value in items %}
    {% if value is mapping %}<div class="branch"><dt>{{ words(name) }}</dt><dd>{{ tree(value) }}</dd></div>
    {% else %}<div><dt>{{ words(name) }}</dt><dd>{{ scalar(value) }}</dd></div>{% endif %}
  {% endfor %}</dl>
{% endmacro %}
{% macro tree(node) %}
  {% set cells, rest = tabulated(node) %}
  {% if cells %}
    {{ entries(rest.items() | rejectattr(1, "mapping")) }}
    <div class="scroll"><table><thead><tr><th></th>
    {%- for name in (cells.values() | first) %}<th>{{ words(name) }}</th>{% endfor %}</tr></thead>
    <tbody>{% for name, row in cells.items() %}<tr><th>{{ words(name) }}</th>
      {%- for value in row.values() %}<td>{{ scalar(value) }}</td>{% endfor %}</tr>
    {% endfor %}</tbody></table></div>
    {{ entries(rest.items() | selectattr(1, "mapping")) }}
  {% else %}{{ entries(rest.items()) }}{% endif %}
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>synth2real: report</title>
<style>
:root { --ink: #1c2430; --quiet: #5c6876; --line: #dde2e8; --accent: #1f5f99; --opacity: 1; --wipe: 100%; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(0.9rem, 3vw, 2.5rem) 4rem; max-width: 82rem; color: var(--ink); background: #fff;
       font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 0.3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.6rem; padding-top: 0.9rem; border-top: 1px solid var(--line); }
h4 { font-size: 0.85rem; margin: 0.8rem 0 0.3rem; color: var(--quiet); font-weight: 500; overflow-wrap: anywhere; }
h3 { font-size: 0.95rem; margin: 1.4rem 0 0.4rem; color: var(--quiet); font-weight: 600; overflow-wrap: anywhere; }
p { margin: 0.3rem 0 0.8rem; max-width: 52rem; color: var(--quiet); }
.scroll { overflow-x: auto; background: linear-gradient(90deg, #fff 50%, #fff0) 0 0 / 2.5rem 100% no-repeat local,
          linear-gradient(270deg, #fff 50%, #fff0) 100% 0 / 2.5rem 100% no-repeat local,
          linear-gradient(90deg, #0003, #0000) 0 0 / 0.8rem 100% no-repeat,
          linear-gradient(270deg, #0003, #0000) 100% 0 / 0.8rem 100% no-repeat; } /* a shadow where there is more */
.scroll > img { mix-blend-mode: multiply; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { padding: 0.28rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { font-weight: 600; color: var(--quiet); vertical-align: bottom; }
tbody th { font-weight: 500; }
.left { text-align: left; }
.best { font-weight: 700; }
.quiet { color: var(--quiet); }
.bar { display: inline-block; height: 0.7em; background: var(--accent); border-radius: 2px; vertical-align: baseline; }
.bars { width: 16%; min-width: 6rem; text-align: left; }
.wide { width: 100%; }
.chip { display: inline-block; width: 0.95em; height: 0.95em; border-radius: 3px; margin-right: 0.45em; vertical-align: -0.1em;
        border: 1px solid #0003; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; margin: 0.5rem 0; font-size: 0.9rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; font-size: 0.92rem; }
a { color: var(--accent); }
.sliders { position: sticky; top: 0; z-index: 2; background: #fffffff2; padding: 0.5rem 0; display: flex; flex-wrap: wrap;
           gap: 0.3rem 2.5rem; font-size: 0.9rem; border-bottom: 1px solid var(--line); }
.sliders label { flex: 0 1 24rem; display: flex; gap: 0.6rem; align-items: center; }
.sliders input { flex: 1; min-width: 5rem; accent-color: var(--accent); }
.grid { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 0.7rem; }
figure { margin: 0; cursor: zoom-in; }
figure div { position: relative; background: var(--photo) 0 0 / 100% 100%; border-radius: 4px; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; }
figure img.map { image-rendering: pixelated; opacity: var(--opacity); }
figure i { position: absolute; inset: 0; background: var(--annotation) 0 0 / 100% 100%; image-rendering: pixelated;
           opacity: var(--opacity); clip-path: inset(0 0 0 var(--wipe)); }
figure i.photo { background-image: var(--photo); opacity: 1; image-rendering: auto; }
figure b { position: absolute; inset: 0 auto 0 var(--wipe); border-left: 2px solid #fff; }
figcaption { font-size: 0.82rem; color: var(--quiet); padding-top: 0.15rem; }
figure.zoom { position: fixed; inset: 0; z-index: 9; background: #10151cf2; cursor: zoom-out;
              display: flex; flex-direction: column; align-items: center; justify-content: center; }
figure.zoom div { width: min(96vw, calc(88vh * var(--ratio))); touch-action: none; }
figure.zoom figcaption { color: #fff; font-size: 1rem; padding-top: 0.6rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 44vw), 1fr)); gap: 0.4rem; }
.panels img { width: 100%; height: auto; }
.plot { max-width: 100%; height: auto; display: block; }
.ladder { min-width: 34rem; }
.matrices { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 0.6rem 1.2rem; }
.matrix { font-size: 0.68rem; }
.matrix th, .matrix td { padding: 0; border: 1px solid #eef1f4; min-width: 1.55rem; height: 1.3rem; text-align: center; }
.matrix td { background: rgb(31 95 153 / calc(var(--share, 0) * 1%)); }
.matrix .dark { color: #fff; }
.matrix tbody th { text-align: right; padding-right: 0.4rem; }
.matrix th { border: 0; }
.matrix th span { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding-top: 0.3rem; }
.matrices h3 { margin-bottom: 0; }
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
@media print { nav, .sliders { display: none; } figure { break-inside: avoid; } }
</style>
</head>
<body>
<h1>From synthetic to real streets</h1>
<p>{{ table.frames }} annotated frames of the target, split <b>{{ table.split }}</b>, scored in
<b>{{ table.label_space }}</b> ({{ classes | length }} classes) by the Cityscapes rules.
Intersection over union and pixel accuracy in %. No model but the oracle, where there is one, has seen a label of the target.</p>
{% if provenance and provenance.commit %}
<p>Commit {{ provenance.commit[:10] }}{{ " and uncommitted changes" if provenance.changed }}.</p>
{% endif %}
<nav><a href="#summary">Summary</a>{% if table.gains %}<a href="#gains">Gains</a>{% endif %}<a href="#classes">Classes</a>
<a href="#confusion">Confusion</a><a href="#pictures">Pictures</a><a href="#training">Training</a>
{% for title, content, grids in statistics %}<a href="#{{ title | lower }}">{{ title }}</a>{% endfor %}
<a href="#settings">Settings</a>{% if provenance %}<a href="#origin">Origin</a>{% endif %}</nav>

<h2 id="summary">Summary</h2>
<div class="scroll"><table class="wide">
<thead><tr><th>Model</th><th class="left">Fusion</th><th>mIoU (%)</th>{% if has_seeds %}<th>sd</th>{% endif %}
<th>interval</th><th>classes</th><th class="bars"></th>
<th>over source only (points)</th>{% if has_gap %}<th>gap closed</th>{% endif %}<th>pixel accuracy (%)</th></tr></thead>
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
{% if has_gap %}<td>{{ "–" if row.gap_closed is none else "%.0f %%" % row.gap_closed }}</td>{% endif %}
<td>{{ number(row.pixel_accuracy) }}</td>
</tr>
{% endfor %}
</tbody></table></div>
<p>The first row is the baseline that needs no model: the constant prediction that scores best. <i>Fused</i>: detected objects are
pasted over the model's prediction. <i>Interval</i>: of resampled frames (settings: evaluation.bootstrap). <i>Classes</i>: those
that are annotated or predicted; the mean is over them.
{% if has_seeds %}Every score is the mean of {{ table.seeds | length }} trainings, with the seeds {{ table.seeds | join(", ") }};
<i>sd</i> is their standard deviation.{% endif %}
{% if has_gap %} <i>Gap closed</i>: share of the way from the first model to the oracle, which learnt from the target's
labels.{% endif %}</p>
<div class="scroll"><img class="plot ladder" src="{{ ladder }}" alt="mIoU of each model"></div>
<p>Dots: means; lines: intervals over frames;{{ " bands: standard deviations over the seeds;" if has_seeds }}
strokes: single trainings; dotted: the first model{{ " and the oracle" if oracle }}.
{% if oracle and has_gap %}
The gap between them is {{ number(oracle.miou - models[0].miou) }} points; the upper scale, and the figure at each model, are the
share of it that is closed.
{% elif oracle %}
There is no gap to close: the oracle, which learnt from the target's labels, has {{ number(oracle.miou) }} %, and
{{ words(models[0].model) }} {{ number(models[0].miou) }} %. So no share of it is given.
{% endif %}</p>

{% if table.gains %}
<h2 id="gains">Gains</h2>
<div class="scroll"><table>
<thead><tr><th>Step</th><th class="left">over</th><th class="left">Fusion</th><th>mIoU (points)</th>
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

<h2 id="classes">Classes</h2>
<div class="scroll"><table>
<thead><tr><th>IoU (%)</th>{% for row in models %}
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

<h2 id="confusion">Confusion</h2>
<p>Each row: what became of the pixels annotated with a class, in %, over all frames
{{- " and seeds" if has_seeds }}; the diagonal is right. Numbers from 10 on; shares below {{ smallest_share }} % are left out.
<i>Outside</i>: predicted as no class of these.</p>
<div class="matrices">
{% for caption, rows in confusions %}
<div><h3>{{ caption }}</h3><div class="scroll"><table class="matrix">
<thead><tr><th></th>{% for name in predicted %}<th><span>{{ name }}</span></th>{% endfor %}</tr></thead>
<tbody>{% for name, shares in rows %}
<tr><th>{{ name }}</th>
{%- for share in shares %}
{% if share < smallest_share %}<td></td>
{%- else %}<td{% if share > 60 %} class="dark"{% endif %} style="--share: {{ "%.1f" % share }}" title="
{{- name }} as {{ predicted[loop.index0] }}: {{ "%.1f" % share }}%">{% if share >= 9.5 %}{{ "%.0f" % share }}{% endif %}</td>
{%- endif %}
{% endfor %}</tr>
{% endfor %}</tbody></table></div></div>
{% endfor %}
</div>

<section>
<h2 id="pictures">Pictures</h2>
<p>The frames on which <i>{{ judge }}</i> does best and worst, and others, evenly spread over the split; with each prediction
its mIoU in this frame. Black is not annotated, or outside of the classes. The sliders fade the colours and bring up the
annotation from the right; click a picture to enlarge it, and move across it to compare with the annotation.</p>
<div class="legend">{% for name, colour in classes %}
<span><span class="chip" style="background: {{ colour }}"></span>{{ name }}</span>{% endfor %}</div>
<div class="sliders">
<label>Photo <input type="range" min="0" max="1" step="0.05" value="1"
  oninput="document.documentElement.style.setProperty('--opacity', this.value)"> Colours</label>
<label>Annotation <input type="range" min="0" max="100" value="100"
  oninput="document.documentElement.style.setProperty('--wipe', this.value + '%')"> Prediction</label>
</div>
{% for group, frames in pictures %}
<h3>{{ {"best": "Best", "worst": "Worst", "spread": "Evenly spread"}[group] }}</h3>
{% for frame in frames %}
<h4>{{ frame.name }}</h4>
<div class="grid" style="--ratio: {{ frame.ratio }}; --photo: url({{ frame.photo }}); --annotation: url({{ frame.annotation }})">
<figure tabindex="0"><div><img src="{{ frame.photo }}" alt="photo"></div><figcaption>image</figcaption></figure>
<figure tabindex="0"><div><img class="map" src="{{ frame.annotation }}" alt="annotation"></div>
<figcaption>annotation</figcaption></figure>
{% for caption, miou, uri in frame.maps %}
<figure tabindex="0">
<div class="compared"><img class="map" src="{{ uri }}" alt="{{ caption }}"><i class="photo"></i><i></i><b></b></div>
<figcaption>{{ caption }}{% if miou is not none %}: {{ number(miou, 1) }}{% endif %}</figcaption></figure>
{% endfor %}
</div>
{% endfor %}
{% endfor %}
</section>

<h2 id="training">Training</h2>
<p>Over the training's steps. Losses and logits have no unit; pixel accuracy is a share from 0 to 1.</p>
{% for name, panels in curves %}
<h3>{{ words(name) }}</h3>
<div class="panels">{% for column, uri in panels.items() %}<img src="{{ uri }}" alt="{{ column }} over steps">{% endfor %}</div>
{% endfor %}

{% for title, content, grids in statistics %}
<h2 id="{{ title | lower }}">{{ title }}</h2>
{% if title in notes %}<p>{{ notes[title] }}</p>{% endif %}
{{ tree(content) }}
{% for name, uri in grids.items() %}<h3>{{ words(name) }}</h3><img class="plot" src="{{ uri }}" alt="{{ title }}">{% endfor %}
{% endfor %}

<h2 id="settings">Settings</h2>
<details><summary>params.yaml</summary>{{ tree(params) }}</details>

{% if provenance %}
<h2 id="origin">Origin</h2>
<dl>
<div><dt>Commit</dt><dd>{{ provenance.commit or "no git repository" }}</dd></div>
{% if provenance.commit %}<div><dt>Changed since</dt><dd>{{ provenance.changed | join(", ") or "nothing" }}</dd></div>{% endif %}
{% if provenance.experiment %}<div><dt>Experiment</dt><dd>{{ provenance.experiment }}</dd></div>{% endif %}
</dl>
{% if provenance.times %}
<p>How long each stage took when it last ran in this clone, without loading its libraries. What came from DVC's cache did
not run, and of a training that was resumed only the last part counts.</p>
<div class="scroll"><table>
<thead><tr><th>Stage</th><th>took</th><th class="bars"></th><th>finished (UTC)</th></tr></thead>
<tbody>
{% set longest = provenance.times | map(attribute="seconds") | max %}
{% for entry in provenance.times %}
<tr><td>{{ entry.stage }}</td><td>{{ duration(entry.seconds) }}</td>
<td class="bars"><span class="bar" style="width: {{ "%.1f" % (100 * entry.seconds / (longest or 1)) }}%"></span></td>
<td>{{ entry.finished[:16] | replace("T", " ") }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% endif %}
<script>
const enlarged = () => document.querySelector("figure.zoom");
const toggle = figure => { figure.classList.toggle("zoom"); figure.style.removeProperty("--wipe"); };
document.querySelectorAll("figure").forEach(figure => figure.addEventListener("click", () => toggle(figure)));
document.addEventListener("keydown", event => {
  if (event.key === "Escape" && enlarged()) toggle(enlarged());
  if (event.key === "Enter" && event.target.matches("figure")) toggle(event.target);
});
document.addEventListener("pointermove", event => {
  const box = document.querySelector("figure.zoom .compared")?.getBoundingClientRect();
  if (box) enlarged().style.setProperty("--wipe", Math.min(100, Math.max(0, (event.clientX - box.left) / box.width * 100)) + "%");
});
</script>
</body>
</html>
"""

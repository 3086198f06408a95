// Draws the charts of a page with uPlot: each `figure.chart` carries its numbers in `data-chart` as JSON,
// { "times": [seconds…], "series": [{ "label": …, "tone": …, "values": […] }] }. The same numbers stand in a table beside it.
"use strict";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function draw(figure) {
  const chart = JSON.parse(figure.dataset.chart);
  figure.replaceChildren();
  const axis = { stroke: colour("text-soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  const tones = ["accent", "good", "warn", "bad", "text-soft", "line-strong"];
  const series = chart.series.map((one, number) => {
    const stroke = colour(one.tone || tones[number % tones.length]);
    return { label: one.label, stroke, width: 2, fill: number === 0 ? `${stroke}22` : undefined, points: { show: chart.times.length < 3 } };
  });
  new uPlot({
    width: figure.clientWidth,
    height: 260,
    legend: { live: true },
    scales: { y: { range: (_, min, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [axis, { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString() : "")) }],
    series: [{}, ...series],
  }, [chart.times, ...chart.series.map((one) => one.values)], figure);
}

const figures = document.querySelectorAll("figure.chart[data-chart]");
const all = () => figures.forEach(draw);
addEventListener("load", all);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
let waiting;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });

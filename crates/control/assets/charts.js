// Draws the charts of a page with uPlot: each `figure.chart` carries its numbers in `data-chart` as JSON,
// { "times": [seconds…], "series": [{ "label": …, "tone": …, "values": […] }] }. The same numbers stand in a table beside it.
// Times are UTC, as everywhere on the pages.
"use strict";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const both = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

// A tick on the time axis: the day at midnight, the hour else.
function tick(seconds) {
  const moment = new Date(seconds * 1000);
  return seconds % 86400 === 0 ? day.format(moment) : clock.format(moment);
}

// Lines are told apart by more than their colour.
const dashes = [[], [8, 4], [2, 3], [12, 4, 2, 4], [5, 2], [1, 5], [10, 2]];
const tones = ["accent", "good", "warn", "bad", "text-soft", "line-strong"];

function draw(figure) {
  const chart = JSON.parse(figure.dataset.chart);
  figure.replaceChildren();
  const line = colour("line");
  const axis = { stroke: colour("text-soft"), grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const isDaily = chart.times.every((time) => time % 86400 === 0);
  const series = chart.series.map((one, number) => {
    const stroke = colour(one.tone || tones[number % tones.length]);
    const total = one.values.reduce((sum, value) => sum + value, 0);
    return {
      label: one.label,
      stroke,
      width: 2,
      dash: dashes[number % dashes.length],
      fill: number === 0 ? `${stroke}1c` : undefined,
      points: { show: chart.times.length < 3 },
      value: (_, value) => (value ?? total).toLocaleString(),
    };
  });
  const moment = (_, time) => (time == null ? "in all" : (isDaily ? day : both).format(new Date(time * 1000)));
  new uPlot({
    width: figure.clientWidth,
    height: 260,
    tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
    scales: { y: { range: (_, min, max) => [0, Math.max(1, max * 1.1)] } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map(tick) },
      { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick.toLocaleString() : "")) },
    ],
    series: [{ label: "Time", value: moment }, ...series],
  }, [chart.times, ...chart.series.map((one) => one.values)], figure);
}

const figures = document.querySelectorAll("figure.chart[data-chart]");
const all = () => figures.forEach(draw);
addEventListener("load", all);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
let waiting;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(all, 150); });

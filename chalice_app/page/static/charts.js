// Small charts over time: areas and lines, bars, dots. Drawn anew with each update.

import { h, svg } from "./dom.js";

const HEIGHT = 168;
const PAD = { left: 50, right: 10, top: 10, bottom: 22 };

/** A round number at or above a value, and the step of about three lines below it. */
export function niceTop(value) {
  if (!(value > 0)) return [1, 0.5];
  const rough = value / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough);
  return [Math.ceil(value / step) * step, step];
}

/**
 * Make a chart.
 *
 * `series`: name, colour class, kind (`area` and `bar` are stacked, `line`, `step`, `dots`);
 * `format` writes a value. `update(span, data)` draws: `span` is [from, to] in milliseconds,
 * `data` holds for each series an array of [milliseconds, value].
 */
export function chart(title, series, format, { least = 1, hint = "" } = {}) {
  const plot = svg("svg", { class: "plot", role: "img", height: HEIGHT });
  const legend = h("ul", { class: "legend" }, series.map((each) => h("li", {}, h("i", { class: each.colour }), each.name, h("b", {}))));
  const element = h("figure", { class: "card chart" }, h("figcaption", {}, h("h2", {}, title), hint && h("small", {}, hint)), plot, legend);
  let last = null;
  let pointer = null;

  function update(span, data) {
    last = [span, data];
    const width = plot.clientWidth || 320;
    const [from, to] = span;
    const x = (at) => PAD.left + ((at - from) / (to - from)) * (width - PAD.left - PAD.right);
    const stacks = stack(series, data);
    const most = Math.max(least, ...stacks.flatMap((points) => points.filter(([at]) => at >= from).map((point) => point[2])));
    const [top, step] = niceTop(most);
    const y = (value) => HEIGHT - PAD.bottom - (value / top) * (HEIGHT - PAD.top - PAD.bottom);
    plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const drawn = [];
    for (let value = 0; value <= top + step / 2; value += step) {
      drawn.push(svg("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }),
        svg("text", { class: "axis", x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)));
    }
    const minutes = Math.round((to - from) / 60_000);
    for (const [share, text, anchor] of [[0, `${minutes} min ago`, "start"], [0.5, `${Math.round(minutes / 2)} min`, "middle"], [1, "now", "end"]]) {
      drawn.push(svg("text", { class: "axis", x: PAD.left + share * (width - PAD.left - PAD.right), y: HEIGHT - 5, "text-anchor": anchor }, text));
    }
    // The first series lies on top, so that those without anything do not hide it.
    for (let at = series.length - 1; at >= 0; at -= 1) drawn.push(...shape(series[at], stacks[at].filter(([moment]) => moment >= from - 120_000), x, y, span));
    if (pointer !== null) drawn.push(svg("line", { class: "pointer", x1: pointer, x2: pointer, y1: PAD.top, y2: HEIGHT - PAD.bottom }));
    plot.replaceChildren(...drawn);

    const moment = pointer === null ? to : from + ((pointer - PAD.left) / (width - PAD.left - PAD.right)) * (to - from);
    const said = series.map((each, at) => {
      const value = valueAt(data[at], moment, each);
      const text = value === undefined ? "–" : format(value);
      legend.children[at].lastChild.textContent = text;
      return `${each.name} ${text}`;
    });
    if (pointer === null) plot.setAttribute("aria-label", `${title}: now ${said.join(", ")}; at most ${format(most)} in ${minutes} minutes`);
  }

  const redraw = () => last && update(...last);
  plot.addEventListener("pointermove", (event) => {
    pointer = Math.max(PAD.left, Math.min(plot.clientWidth - PAD.right, event.offsetX));
    redraw();
  });
  plot.addEventListener("pointerleave", () => { pointer = null; redraw(); });
  new ResizeObserver(redraw).observe(plot);
  return { element, update };
}

/** Give each point its floor and its top: stacked for areas and bars, from 0 for the rest. */
function stack(series, data) {
  const floors = { area: new Map(), bar: new Map() };
  return series.map((each, at) => data[at].map(([moment, value]) => {
    const floor = floors[each.kind];
    const below = floor?.get(moment) ?? 0;
    floor?.set(moment, below + value);
    return [moment, below, below + value];
  }));
}

function shape(series, points, x, y, [from, to]) {
  const place = (at) => Math.max(x(from), x(at));
  if (!points.length) return [];
  switch (series.kind) {
    case "area": {
      const upper = points.map(([at, , top]) => `${place(at).toFixed(1)},${y(top).toFixed(1)}`);
      const lower = points.map(([at, floor]) => `${place(at).toFixed(1)},${y(floor).toFixed(1)}`).reverse();
      return [svg("polygon", { class: `fill ${series.colour}`, points: [...upper, ...lower].join(" ") }),
        svg("polyline", { class: `stroke ${series.colour}`, points: upper.join(" ") })];
    }
    case "bar": {
      const width = Math.max(2, x(from + 60_000) - x(from) - 2);
      return points.filter(([at, floor, top]) => top > floor && at >= from)
        .map(([at, floor, top]) => svg("rect", { class: `solid ${series.colour}`, x: x(at) + 1, width: Math.max(1, Math.min(width, x(to) - x(at) - 1)), y: y(top), height: y(floor) - y(top), rx: Math.min(2, width / 3) }));
    }
    case "dots":
      return [svg("path", { class: `dots ${series.colour}`, d: points.filter(([at]) => at >= from).map(([at, , value]) => `M${x(at).toFixed(1)} ${y(value).toFixed(1)}h0`).join("") })];
    default:
      return [svg("polyline", { class: `stroke ${series.colour}`, points: points.map(([at, , value]) => `${place(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") })];
  }
}

function valueAt(points, moment, series) {
  const within = series.kind === "bar" ? 60_000 : 120_000;
  return points.findLast(([at]) => at <= moment && at > moment - within)?.[1];
}

// The service at work: queue, fleet, throughput, latency, recent jobs and failures.

import { api, isLeaving, pause, session } from "./api.js";
import { chart } from "./charts.js";
import { button, count, h, icon, span, when } from "./dom.js";

const EVERY = 3000;
const WINDOW = 30 * 60_000;
const MINUTE = 60_000;
const STATES = { awaiting_upload: "awaiting photo", queued: "in work", succeeded: "done", failed: "failed", expired: "expired" };
const whole = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(1));

/** The share of sorted numbers below which a value lies; undefined of none. */
export function quantile(sorted, share) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] : undefined;
}

/** Per minute: jobs that ended well and not, and how long they took. */
export function perMinute(jobs, history = []) {
  const minutes = new Map();
  for (const job of jobs) {
    if (!job.finished_at) continue;
    const ended = Date.parse(job.finished_at);
    const at = ended - (ended % MINUTE);
    const minute = minutes.get(at) ?? { at, done: 0, failed: 0, seconds: [] };
    minute[job.state === "failed" ? "failed" : "done"] += 1;
    minute.seconds.push((ended - Date.parse(job.submitted_at)) / 1000);
    minutes.set(at, minute);
  }
  for (const minute of minutes.values()) {
    minute.seconds.sort((one, other) => one - other);
    minute.p50 = quantile(minute.seconds, 0.5);
    minute.p95 = quantile(minute.seconds, 0.95);
  }
  // CloudWatch knows the whole stack, but the last minutes not yet.
  for (const known of history) {
    if (!known.finished) continue;
    const at = Date.parse(known.at);
    const seen = minutes.get(at);
    const failed = seen?.failed ?? 0;
    minutes.set(at, { at, failed, done: Math.max(known.finished - failed, seen?.done ?? 0), p50: known.p50_seconds ?? seen?.p50, p95: known.p95_seconds ?? seen?.p95 });
  }
  return [...minutes.values()].sort((one, other) => one.at - other.at);
}

/** Make the view that operators look at. */
export function operationsView() {
  const problem = h("div", { class: "note", hidden: true });
  const tiles = h("dl", { class: "tiles" });
  const queue = chart("Queue", [{ name: "in work", colour: "c1", kind: "area" }, { name: "waiting", colour: "c2", kind: "area" }], whole, { least: 4, hint: "jobs" });
  const fleet = chart("Fleet", [{ name: "ready", colour: "c3", kind: "area" }, { name: "booting", colour: "c2", kind: "area" }, { name: "leaving", colour: "c5", kind: "area" }], whole, { least: 2, hint: "workers" });
  const throughput = chart("Throughput", [{ name: "answered", colour: "c1", kind: "bar" }, { name: "failed", colour: "c4", kind: "bar" }], whole, { least: 4, hint: "jobs a minute" });
  const latency = chart("Latency", [{ name: "each job", colour: "c5", kind: "dots" }, { name: "p50", colour: "c1", kind: "line" }, { name: "p95", colour: "c2", kind: "line" }], span, { least: 0.5, hint: "from request to result" });
  const workers = h("ul", { class: "workers" });
  const failures = h("ul", { class: "failures" });
  const rows = h("tbody");
  const switcher = button("Pause", { glyph: "pause", "aria-pressed": "false", onclick: toggle });
  const element = h("div", { class: "view" },
    h("div", { class: "row between view-head" }, h("h1", { tabindex: "-1" }, "Operations"), switcher),
    problem, tiles,
    h("div", { class: "charts" }, queue.element, fleet.element, throughput.element, latency.element),
    h("div", { class: "columns" },
      h("section", { class: "card", "aria-labelledby": "workers-head" }, h("h2", { id: "workers-head" }, "Workers"), workers),
      h("section", { class: "card", "aria-labelledby": "failures-head" }, h("h2", { id: "failures-head" }, "Failures"), failures)),
    h("section", { class: "card", "aria-labelledby": "jobs-head" }, h("h2", { id: "jobs-head" }, "Recent jobs"),
      h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table of recent jobs" }, h("table", {}, h("thead", {}, h("tr", {}, ["Photo", "State", "Kind", "Faces", "Took", "When"].map((text) => h("th", { scope: "col" }, text)))), rows))));

  const live = { queue: [], fleet: [] };
  const latest = { view: null, jobs: null };
  const seen = new Map();  // the service lists a hundred at a time
  let history = [];
  let historyAt = 0;
  let shown = false;
  let paused = false;
  let running = false;
  let forbidden = false;

  function toggle() {
    paused = !paused;
    switcher.replaceChildren(icon(paused ? "play" : "pause"), h("span", {}, paused ? "Go on" : "Pause"));
    switcher.setAttribute("aria-pressed", String(paused));
    if (!paused) run();
  }

  async function run() {
    if (running) return;
    running = true;
    const { signal } = session.ended;
    try {
      while (shown && !paused && !signal.aborted) {
        if (!document.hidden) await look();
        await pause(EVERY, signal);
      }
    } catch (error) {
      if (!isLeaving(error)) throw error;
    } finally {
      running = false;
    }
  }

  async function look() {
    const asksHistory = Date.now() - historyAt > MINUTE;
    const wrong = (error) => { if (!isLeaving(error)) return error; throw error; };
    // Each is shown as soon as it comes: the stack is seen by way of three services.
    const [one, other] = await Promise.all([
      forbidden ? null : api("GET", "/v1/operations", { query: { minutes: asksHistory ? 30 : 0 } }).then((found) => takeStack(found, asksHistory)).catch(wrong),
      api("GET", "/v1/jobs", { query: { limit: seen.size ? 40 : 100 } }).then(({ jobs }) => takeJobs(jobs)).catch(wrong),
    ]);
    forbidden ||= one?.status === 403;
    problem.hidden = !forbidden && !one && !other;
    if (forbidden) problem.replaceChildren(icon("warn"), "Queue and fleet are shown to keys with the scope admin. Below are the jobs of your own tenant.");
    else if (one || other) problem.replaceChildren(icon("warn"), (one ?? other).message);
  }

  function takeJobs(jobs) {
    latest.jobs = jobs;
    for (const job of jobs) seen.set(job.job_id, job);
    for (const [id, job] of seen) if (Date.parse(job.submitted_at) < Date.now() - WINDOW) seen.delete(id);
    draw();
  }

  function takeStack(view, withHistory) {
    const now = Date.now();
    latest.view = view;
    if (withHistory) {
      historyAt = now;
      history = view.history ?? history;
    }
    if (view.queues) live.queue.push([now, view.queues]);
    if (view.fleet) live.fleet.push([now, tallied(view.fleet)]);
    for (const list of Object.values(live)) while (list.length && list[0][0] < now - WINDOW) list.shift();
    draw();
  }

  function draw() {
    const { view } = latest;
    const jobs = latest.jobs && [...seen.values()];
    const now = Date.now();
    const from = now - WINDOW;
    const start = (list) => list[0]?.[0] ?? Infinity;
    const before = (name, list) => history.filter((minute) => minute[name] !== undefined && Date.parse(minute.at) < start(list)).map((minute) => [Date.parse(minute.at), minute[name]]);
    queue.update([from, now], [
      // CloudWatch keeps only the sum.
      [...before("backlog", live.queue).map(([at]) => [at, 0]), ...live.queue.map(([at, each]) => [at, each.in_flight])],
      [...before("backlog", live.queue), ...live.queue.map(([at, each]) => [at, each.waiting + each.arriving])],
    ]);
    fleet.update([from, now], [
      [...before("running", live.fleet), ...live.fleet.map(([at, each]) => [at, each.ready])],
      [...before("booting", live.fleet), ...live.fleet.map(([at, each]) => [at, each.booting])],
      [...before("running", live.fleet).map(([at]) => [at, 0]), ...live.fleet.map(([at, each]) => [at, each.leaving])],
    ]);
    if (jobs) {
      const minutes = perMinute(jobs, history);
      throughput.update([from, now], [minutes.map((each) => [each.at, each.done]), minutes.map((each) => [each.at, each.failed])]);
      const ended = jobs.filter((job) => job.finished_at).map((job) => [Date.parse(job.finished_at), (Date.parse(job.finished_at) - Date.parse(job.submitted_at)) / 1000]);
      const middle = (name) => minutes.filter((each) => each[name] !== undefined).map((each) => [Math.min(now, each.at + MINUTE / 2), each[name]]);
      latency.update([from, now], [ended.sort((one, other) => one[0] - other[0]), middle("p50"), middle("p95")]);
      table(latest.jobs);
      failed(jobs);
    }
    figures(view, jobs, now);
    if (view?.fleet) workers.replaceChildren(...(view.fleet.length ? view.fleet.map(worker) : [h("li", { class: "muted" }, "No worker runs. One is started with the next photo.")]));
    else if (!workers.children.length) workers.append(h("li", { class: "muted" }, "Not known."));
  }

  function figures(view, jobs, now) {
    const seen = (jobs ?? []).filter((job) => job.finished_at && Date.parse(job.finished_at) > now - 5 * MINUTE);
    const seconds = seen.map((job) => (Date.parse(job.finished_at) - Date.parse(job.submitted_at)) / 1000).sort((one, other) => one - other);
    const oldest = Math.max(0, ...(jobs ?? []).filter((job) => job.state === "queued").map((job) => (now - Date.parse(job.submitted_at)) / 1000));
    const { queues } = view ?? {};
    const nothing = queues?.waiting + queues?.arriving ? "none of the jobs below" : "nothing waits";
    const crew = view?.fleet && tallied(view.fleet);
    const p = (share) => (seconds.length ? span(quantile(seconds, share)) : "–");
    const made = [
      ["Waiting", queues ? whole(queues.waiting + queues.arriving) : "–", oldest ? `the oldest for ${span(oldest)}` : nothing],
      ["In work", queues ? whole(queues.in_flight) : "–", queues?.dead ? `${count(queues.dead, "job")} given up` : "none given up"],
      ["Workers", crew ? whole(crew.ready) : "–", crew ? (crew.booting ? `${crew.booting} more booting` : "ready") : "not known"],
      ["Answered", jobs ? whole(seen.length) : "–", "in five minutes"],
      ["Latency", p(0.5), `p95 ${p(0.95)}, five minutes`],
    ];
    tiles.replaceChildren(...made.map(([name, value, more]) => h("div", { class: "card tile" }, h("dt", {}, name), h("dd", {}, h("strong", {}, value), h("small", {}, more)))));
  }

  function table(jobs) {
    rows.replaceChildren(...jobs.slice(0, 30).map((job) => h("tr", {},
      h("th", { scope: "row" }, job.file_name ?? h("code", {}, job.job_id.slice(-8))),
      h("td", {}, h("span", { class: `state-chip ${job.state}` }, STATES[job.state]), job.error && h("small", { class: "reason" }, job.error.title)),
      h("td", {}, job.kind ?? "–"), h("td", {}, job.state === "succeeded" ? (job.faces ? `${job.known} of ${job.faces} known` : "none") : "–"),
      h("td", {}, job.finished_at ? span((Date.parse(job.finished_at) - Date.parse(job.submitted_at)) / 1000) : "–", job.cached && h("small", { class: "reason" }, "seen before")),
      h("td", {}, when(job.finished_at ?? job.submitted_at)))));
    if (!jobs.length) rows.append(h("tr", {}, h("td", { colspan: 6, class: "muted" }, "No photo was sent yet.")));
  }

  function failed(jobs) {
    const kinds = new Map();
    for (const job of jobs) {
      if (!job.error) continue;
      const kind = kinds.get(job.error.code) ?? { ...job.error, number: 0, last: job.finished_at ?? job.submitted_at };
      kind.number += 1;
      kinds.set(job.error.code, kind);
    }
    const sorted = [...kinds.values()].sort((one, other) => other.number - one.number);
    failures.replaceChildren(...(sorted.length ? sorted.map((kind) => h("li", {}, h("strong", {}, `${kind.number} × ${kind.title}`), h("span", {}, kind.message), h("small", {}, `last ${when(kind.last)}`)))
      : [h("li", { class: "muted" }, "None in the last half hour.")]));
  }

  return {
    element,
    show() { shown = true; run(); },
    hide() { shown = false; },
    end() { shown = false; },
  };
}

function tallied(fleet) {
  const number = (...states) => fleet.filter((worker) => states.includes(worker.state)).length;
  return { ready: number("ready"), booting: number("booting"), leaving: number("draining", "stopping") };
}

function worker(each) {
  return h("li", {}, h("span", { class: `light ${each.state}` }), h("span", { class: "person-words" }, h("strong", {}, each.name || each.instance_id), h("small", {}, `${each.instance_type}${each.spot ? ", spot" : ""} · ${each.instance_id}`)),
    h("span", { class: "muted" }, `${each.state}, since ${when(each.launched_at)}`));
}

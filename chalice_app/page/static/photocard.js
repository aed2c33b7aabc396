// One photo on the page: on its way, then with boxes and names drawn on it.

import { api, isLeaving, session } from "./api.js";
import { cut } from "./crops.js";
import { button, count, h, icon, say, toast } from "./dom.js";
import { faceRow, flaws } from "./facerow.js";
import { ask } from "./jobs.js";

const STAGES = {
  queued: "Next in line…",
  preparing: "Preparing…",
  waiting: "Looking for faces…",
  offline: "No connection. It goes on by itself when the network is back.",
};

let cards = 0;

/** Make the card of a photo and send it; `onchange` is called when it has ended or gone. */
export function photoCard(file, onchange) {
  const id = `photo-${++cards}`;
  const title = file.name || "Photo from the camera";
  const url = URL.createObjectURL(file);
  const image = h("img", { src: url, alt: "", class: "photo", decoding: "async", loading: "lazy" });
  const marks = h("div", { class: "marks" });
  const canvas = h("div", { class: "canvas" }, image, marks);
  const frame = h("div", { class: "frame" }, canvas);
  const shape = (width, height) => canvas.style.setProperty("--ratio", width / height);
  image.addEventListener("load", () => shape(image.naturalWidth, image.naturalHeight));
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${title}` });
  const state = h("p", { class: "state" }, STAGES.queued);
  const side = h("div", { class: "side" });
  const again = button("Look again", { glyph: "redo", kind: "plain", quiet: true, disabled: true, onclick: run });
  const card = h("article", { class: "card photo-card", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), again, button(`Delete ${title} and its result`, { glyph: "trash", kind: "plain", quiet: true, onclick: remove })),
    h("div", { class: "photo-body" }, frame, side));
  image.addEventListener("error", () => frame.classList.add("unseen"));

  const jobs = [];
  const gone = new AbortController();
  const signal = AbortSignal.any([session.ended.signal, gone.signal]);
  card.busy = false;

  function tell(stage, share) {
    card.dataset.stage = stage;
    if (stage === "sending") {
      bar.value = share;
      state.textContent = share < 1 ? `Sending, ${Math.round(100 * share)} %` : "Sent";
    } else {
      state.textContent = STAGES[stage];
      if (stage === "waiting") bar.removeAttribute("value");
      if (stage === "offline") say(STAGES.offline);
    }
  }

  async function run() {
    if (card.busy) return;
    card.busy = true;
    again.disabled = true;
    marks.replaceChildren();
    bar.value = 0;
    state.textContent = STAGES.queued;
    side.replaceChildren(h("div", { class: "progress" }, bar, state));
    const started = performance.now();
    try {
      const result = await ask(file, { kind: "identify" }, tell, { onjob: (job) => jobs.push(job), signal });
      await show(result, (performance.now() - started) / 1000);
    } catch (error) {
      if (isLeaving(error)) return;
      fail(error);
    } finally {
      card.busy = false;
      again.disabled = false;
      onchange(card);
    }
  }

  function fail(error) {
    card.dataset.stage = "failed";
    side.replaceChildren(h("div", { class: "failure" }, h("p", { class: "bad" }, icon("warn"), error.message),
      button("Try again", { glyph: "redo", onclick: run })));
    say(`${title}: ${error.message}`, { alarm: true });
  }

  async function show(result, seconds) {
    card.dataset.stage = "done";
    const { photo } = result;
    shape(photo.width, photo.height);
    // Those left out are shown, too, so that nobody takes the photo for searched whole.
    const faces = [...result.faces, ...(result.left_out ?? [])];
    const crops = await cutAll(faces, photo.width);
    const list = h("ul", { class: "faces", "aria-label": `Faces in ${title}` });
    faces.forEach((face, at) => {
      const mark = boxMark(face, at + 1, photo);
      const row = faceRow(face, at + 1, crops[at], (name) => mark.rename(name));
      link(mark.element, row);
      marks.append(mark.element);
      list.append(row);
    });
    const named = faces.filter((face) => face.match).map((face) => face.match.name);
    const unknown = faces.filter((face) => face.req_id).length;
    const others = faces.length - named.length - unknown;
    const parts = [...named, named.length && unknown && `${unknown} unknown`, others && `${others} not looked for`].filter(Boolean);
    const summary = !faces.length ? "No face was found. Try a photo where faces are larger and turned to the camera."
      : `${count(faces.length, "face")}${parts.length ? `: ${parts.join(", ")}` : ""}`;
    side.replaceChildren(h("p", { class: "summary" }, summary,
      h("small", {}, `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s${result.cached ? ", seen before" : ""}`)), list);
    say(`${title}: ${summary}`);
  }

  async function cutAll(faces, width) {
    if (!faces.length) return [];
    try {
      const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
      const made = await Promise.all(faces.map((face) => cut(bitmap, face.box, width)));
      bitmap.close();
      return made;
    } catch {
      return [];
    }
  }

  async function remove() {
    gone.abort();
    card.remove();
    onchange(card);
    URL.revokeObjectURL(url);
    try {
      await Promise.all(jobs.map((job) => api("DELETE", `/v1/jobs/${job}`)));
      toast(jobs.length ? "The photo and its result are deleted, here and in the service." : "The photo is gone.");
    } catch (error) {
      if (!isLeaving(error)) toast(`The photo is gone here, not yet in the service. ${error.message}`, { bad: true });
    }
  }

  card.again = run;
  card.hasUnknown = () => Boolean(side.querySelector(".face.unknown"));
  card.start = run;
  return card;
}

/** The box of a face, in percent of the upright photo, so that it fits at every size. */
function boxMark(face, number, photo) {
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  const name = face.match?.name ?? (face.req_id ? "Unknown" : `Face ${number}`);
  const label = h("span", { class: "tag" });
  const element = h("button", { type: "button", class: `mark ${face.match ? "known" : "unknown"} ${face.quality.reasons.length ? "poor" : ""}` }, label);
  const { left, top, right, bottom } = face.box;
  Object.assign(element.style, {
    left: percent(left, photo.width), top: percent(top, photo.height),
    width: percent(right - left, photo.width), height: percent(bottom - top, photo.height),
  });
  if (top < 0.12 * photo.height) element.classList.add("below");
  if (left > 0.6 * photo.width) element.classList.add("rightwards");
  const write = (text, similarity) => {
    label.replaceChildren(text, ...(similarity === undefined ? [] : [h("b", {}, similarity.toFixed(2))]));
    const poor = flaws(face);
    element.setAttribute("aria-label", `Face ${number}: ${text}${similarity === undefined ? "" : `, similarity ${similarity.toFixed(2)}`}${poor ? `, ${poor}` : ""}`);
  };
  write(name, face.match?.similarity);
  return {
    element,
    rename(text) {
      element.classList.replace("unknown", "known");
      write(text);
    },
  };
}

/** Box and row light up together; a press on the box leads to the row, or to its name field. */
function link(mark, row) {
  for (const [here, there] of [[mark, row], [row, mark]]) {
    here.addEventListener("pointerenter", () => there.classList.add("lit"));
    here.addEventListener("pointerleave", () => there.classList.remove("lit"));
    here.addEventListener("focusin", () => there.classList.add("lit"));
    here.addEventListener("focusout", () => there.classList.remove("lit"));
  }
  mark.addEventListener("click", () => (row.querySelector("input") ?? row).focus());
}

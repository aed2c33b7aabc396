// One face of a photo in words: who it is, how sure that is, how good the face is; and for
// an unknown one the place to say who it is.

import { Problem, api, findPeople, isLeaving, session } from "./api.js";
import { remember } from "./crops.js";
import { button, count, h, icon, say } from "./dom.js";

const REASONS = {
  EXTREME_POSE: "turned away",
  LOW_BRIGHTNESS: "too dark",
  HIGH_BRIGHTNESS: "too bright",
  LOW_SHARPNESS: "blurred",
  LOW_CONFIDENCE: "perhaps no face",
  SMALL_BOUNDING_BOX: "small",
  EXCEEDS_MAX_FACES: "one of too many",
  LOW_FACE_QUALITY: "hard to recognise",
};
const FORCEABLE = new Set(["poor_face", "looks_like_another", "duplicate_face"]);

let rows = 0;

/** Say what makes a face poor, as a person would; empty when nothing does. */
export function flaws(face) {
  return face.quality.reasons.map((reason) => REASONS[reason] ?? reason.toLowerCase().replaceAll("_", " ")).join(", ");
}

function meter(share, tick, label) {
  const bar = h("span", { class: "meter", role: "img", "aria-label": label }, h("span", { class: "level" }));
  bar.firstChild.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
  if (tick !== undefined) {
    const mark = h("span", { class: "tick" });
    mark.style.left = `${100 * tick}%`;
    bar.append(mark);
  }
  return bar;
}

function facts(face) {
  const { match, quality } = face;
  const items = [];
  if (match) {
    const sure = match.probability === undefined ? "" : `, ${sureness(match.probability)}`;
    items.push(h("dt", {}, "Similarity"), h("dd", {},
      h("strong", {}, match.similarity.toFixed(2)), meter(match.similarity, match.threshold, `Similarity ${match.similarity.toFixed(2)} of 1; counts from ${match.threshold.toFixed(2)}`),
      h("small", {}, `counts from ${match.threshold.toFixed(2)}${sure}`)));
  } else if (face.candidates.length) {
    const [best] = face.candidates;
    items.push(h("dt", {}, "Nearest"), h("dd", {}, h("strong", {}, best.similarity.toFixed(2)), meter(best.similarity, undefined, `Similarity ${best.similarity.toFixed(2)} of 1`),
      h("small", {}, `${best.name}, not similar enough`)));
  }
  const poor = flaws(face);
  const score = quality.score;
  items.push(h("dt", {}, "Quality"), h("dd", {},
    score !== undefined && h("strong", {}, Math.round(score)),
    score !== undefined && meter(score / 100, undefined, `Quality ${Math.round(score)} of 100`),
    h("small", { class: poor ? "warn" : "" }, poor || (score === undefined ? `${quality.size_px} px` : `better than ${Math.round(score)} % of faces`))));
  return h("dl", { class: "facts" }, items);
}

function sureness(probability) {
  const percent = 100 * probability;
  return percent > 99.95 ? "over 99.9 % likely" : `${percent.toFixed(percent > 99 ? 1 : 0)} % likely`;
}

/**
 * Make the row of a face.
 *
 * `onnamed(name)` is called when an unknown face has become somebody's.
 */
export function faceRow(face, number, crop, onnamed) {
  const row = h("li", { class: "face", tabindex: "-1" });
  const picture = crop ? h("img", { class: "crop", src: crop, alt: `Face ${number}` }) : h("span", { class: "crop" }, icon("face"));
  const known = (name, note) => {
    row.classList.remove("unknown");
    row.classList.add("known");
    row.replaceChildren(picture, h("div", { class: "who" },
      h("p", { class: "name" }, icon("check"), name, note && h("small", {}, note)), facts(face)));
  };
  if (face.match) {
    remember(crop, { person: face.match.person_id });
    known(face.match.name);
  } else if (face.req_id) {
    row.classList.add("unknown");
    row.append(picture, h("div", { class: "who" }, h("p", { class: "name" }, "Unknown", h("small", {}, `face ${number}`)), facts(face),
      namingForm(face, number, (person) => {
        remember(crop, { person: person.person_id, face: person.face_id });
        known(person.name, "saved");
        row.focus();
        onnamed(person.name);
      })));
  } else {
    row.append(picture, h("div", { class: "who" }, h("p", { class: "name" }, `Face ${number}`), facts(face)));
  }
  return row;
}

/** The form by which an unknown face becomes somebody's, without the photo being sent again. */
function namingForm(face, number, onsaved) {
  const id = `who-${++rows}`;
  const input = h("input", { id, name: "name", list: `${id}-people`, autocomplete: "off", maxlength: 200, required: true, placeholder: "Who is this?", "aria-describedby": `${id}-note` });
  const suggestions = h("datalist", { id: `${id}-people` });
  const note = h("div", { id: `${id}-note`, class: "note-line", role: "status" });
  const save = h("button", { class: "button primary", type: "submit" }, "Save");
  const form = h("form", { class: "naming", novalidate: true }, h("label", { class: "hidden", for: id }, `Name of face ${number}`), h("div", { class: "row tight" }, input, suggestions, save), note);

  const guesses = face.candidates.filter((each) => each.similarity > 0.3).slice(0, 2);
  if (guesses.length) {
    form.append(h("p", { class: "guesses" }, "Perhaps ", guesses.map((each) =>
      button(each.name, { kind: "chip", title: `Similarity ${each.similarity.toFixed(2)}`, onclick: () => store({ person_id: each.person_id }) }))));
  }

  async function store(who, force = false) {
    save.disabled = true;
    note.replaceChildren("Saving…");
    try {
      const body = { collection: session.collection, req_id: face.req_id, ...who, ...(force && { force }) };
      const enrolled = await api("POST", "/v1/people", { body });
      say(`${enrolled.name} is saved.`);
      onsaved(enrolled);
    } catch (error) {
      if (isLeaving(error)) return;
      save.disabled = false;
      note.replaceChildren(h("p", { class: "bad" }, icon("warn"), error.message),
        FORCEABLE.has(error.code) && button("Save anyway", { onclick: () => store(who, true) }));
      say(error.message, { alarm: true });
    }
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = input.value.trim();
    if (!name) {
      note.replaceChildren(h("p", { class: "bad" }, icon("warn"), "Write a name first."));
      input.focus();
      return;
    }
    let same = [];
    try {
      const { people } = await findPeople(name, 20);
      same = people.filter((person) => person.name.toLowerCase() === name.toLowerCase());
    } catch (error) {
      // A key that may only enrol cannot look; then the name is simply a new one.
      if (!(error instanceof Problem) || error.offline) return void store({ name });
    }
    if (!same.length) return void store({ name });
    note.replaceChildren(h("p", {}, `${name} is already here. Is it the same person?`),
      h("div", { class: "row tight" },
        same.slice(0, 4).map((person) => button(`Add to ${person.name} (${count(person.faces, "face")})`, { kind: "primary", onclick: () => store({ person_id: person.person_id }) })),
        button(`Another ${name}`, { onclick: () => store({ name }) })));
    note.querySelector("button").focus();
  });

  let asked = 0;
  input.addEventListener("input", () => {
    const turn = ++asked;
    setTimeout(async () => {
      const text = input.value.trim();
      if (turn !== asked || text.length < 2) return;
      try {
        const { people } = await findPeople(text);
        if (turn === asked) suggestions.replaceChildren(...[...new Set(people.map((person) => person.name))].map((name) => h("option", { value: name })));
      } catch { /* suggestions are no need */ }
    }, 200);
  });
  return form;
}

// The people of a collection: found, added, opened.

import { api, isLeaving, session } from "./api.js";
import { cropOf } from "./crops.js";
import { button, count, h, icon, openDialog, toast, when } from "./dom.js";
import { enrol } from "./enrol.js";
import { openPerson } from "./person.js";

const PAGE = 24;

/** A round picture of a person: a face seen in this tab, else the initials. */
export function avatar(person) {
  const crop = cropOf(person.person_id);
  if (crop) return h("img", { class: "avatar", src: crop, alt: "" });
  const letters = person.name.split(/\s+/).filter(Boolean).map((word) => [...word][0]);
  const initials = (letters[0] ?? "?") + (letters.length > 1 ? letters.at(-1) : "");
  let hue = 0;
  for (const letter of person.person_id) hue = (hue * 31 + letter.codePointAt(0)) % 6;
  return h("span", { class: `avatar hue-${hue}`, "aria-hidden": "true" }, initials.toUpperCase());
}

/** Make the view that lists people. */
export function peopleView() {
  const search = h("input", { id: "people-search", type: "search", placeholder: "Name, e-mail or id", autocomplete: "off" });
  const tally = h("p", { class: "muted", role: "status" });
  const list = h("ul", { class: "people" });
  const more = button("Show more", { hidden: true, onclick: () => load(false) });
  const empty = h("div", { class: "empty", hidden: true });
  const element = h("div", { class: "view" },
    h("div", { class: "row between view-head" }, h("h1", { tabindex: "-1" }, "People"),
      h("div", { class: "row" }, h("div", { class: "search" }, h("label", { class: "hidden", for: "people-search" }, "Search people"), icon("search"), search),
        button("Add a person", { glyph: "plus", kind: "primary", onclick: addPerson }))),
    tally, list, empty, h("div", { class: "row middle" }, more));

  let cursor;
  let shown = 0;
  let turn = 0;

  async function load(anew = true) {
    const mine = ++turn;
    const text = search.value.trim();
    try {
      const page = await api("GET", "/v1/people", {
        query: { collection: session.collection, query: text, limit: PAGE, cursor: anew ? undefined : cursor },
      });
      if (mine !== turn) return;
      const rows = page.people.map(row);
      if (anew) {
        list.replaceChildren(...rows);
        shown = 0;
      } else {
        list.append(...rows);
        rows[0]?.querySelector("button").focus();
      }
      shown += rows.length;
      cursor = page.next_cursor;
      more.hidden = !cursor;
      tally.textContent = shown ? `${count(shown, "person", "people")}${cursor ? " and more" : ""}${text ? " found" : ""}` : "";
      explain(text ? `Nobody here is called “${text}”.` : "Nobody is here yet. Name an unknown face in a photo, or add a person with photos.");
    } catch (error) {
      if (isLeaving(error) || mine !== turn) return;
      shown = 0;
      list.replaceChildren();
      more.hidden = true;
      tally.textContent = "";
      explain(error.code === "unknown_collection" ? "Nobody is here yet. The collection begins with its first photo." : error.message);
    }
  }

  function explain(text) {
    empty.hidden = shown > 0;
    empty.replaceChildren(icon("people"), h("p", {}, text));
  }

  function row(person) {
    const open = h("button", { type: "button", class: "person", onclick: () => openPerson(person, load) }, avatar(person),
      h("span", { class: "person-words" }, h("strong", {}, person.name), h("small", {}, `${count(person.faces, "face")} · ${when(person.created_at)}`)),
      icon("chevron"));
    return h("li", {}, open);
  }

  function addPerson() {
    const name = h("input", { id: "new-name", required: true, maxlength: 200, autocomplete: "off" });
    const photos = h("input", { id: "new-photos", type: "file", accept: "image/*", multiple: true, required: true });
    const note = h("div", { class: "note-line", role: "status" });
    const save = h("button", { class: "button primary", type: "submit" }, "Add");
    const consent = h("p", { class: "muted" }, "A face is biometric data: add only people who agreed to it. One person a photo; three photos make recognition surer than one.");
    const form = h("form", { class: "body", novalidate: true }, h("label", { for: "new-name" }, "Name"), name, h("label", { for: "new-photos" }, "Photos"), photos, consent, note, h("div", { class: "row end" }, save));
    const dialog = openDialog("Add a person", form);
    name.focus();
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const files = [...photos.files];
      if (!name.value.trim() || !files.length) {
        note.replaceChildren(h("p", { class: "bad" }, icon("warn"), name.value.trim() ? "Choose a photo." : "Write a name."));
        (name.value.trim() ? photos : name).focus();
        return;
      }
      save.disabled = true;
      const done = await enrol(files, { person_name: name.value.trim() }, note);
      save.disabled = false;
      if (done) {
        toast(`${name.value.trim()} is added with ${count(done, "face")}.`);
        dialog.close();
        load();
      }
    });
  }

  let wait;
  search.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(load, 200);
  });
  return { element, show: () => load() };
}

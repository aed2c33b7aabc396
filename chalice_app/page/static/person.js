// One person: names, faces, and what can be done with them.

import { api, findPeople, isLeaving, session } from "./api.js";
import { cropOfFace, forgetPerson } from "./crops.js";
import { button, confirmed, count, h, icon, openDialog, say, toast, when } from "./dom.js";
import { enrol } from "./enrol.js";

const FIELDS = [
  ["name", "Name", { required: true, maxlength: 200 }],
  ["email", "E-mail", { type: "email" }],
  ["birthdate", "Date of birth", { type: "date" }],
  ["external_id", "Id elsewhere", { maxlength: 200 }],
];

/** Open a person; `onchange` is called when the list of people is no longer true. */
export function openPerson(person, onchange) {
  const query = { collection: session.collection };
  const path = `/v1/people/${encodeURIComponent(person.person_id)}`;
  const note = h("div", { class: "note-line", role: "status" });
  const faces = h("ul", { class: "stored-faces" });
  const body = h("div", { class: "body person-sheet" }, details(), h("section", { "aria-labelledby": "faces-head" }, h("h3", { id: "faces-head" }, "Faces"), faces, adding()), merging(), removing());
  const dialog = openDialog(person.name, body, { sheet: true });
  loadFaces();

  const failed = (error, place = note) => {
    if (isLeaving(error)) return;
    place.replaceChildren(h("p", { class: "bad" }, icon("warn"), error.message));
    say(error.message, { alarm: true });
  };

  function details() {
    const inputs = Object.fromEntries(FIELDS.map(([key, , more]) => [key, h("input", { id: `person-${key}`, autocomplete: "off", ...more, value: person[key] ?? "" })]));
    const save = h("button", { type: "submit", class: "button primary" }, "Save");
    return h("form", { class: "fields", novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      const changed = {};
      for (const [key] of FIELDS) {
        const text = inputs[key].value.trim();
        if (text !== (person[key] ?? "")) changed[key] = text || null;
      }
      if (changed.name === null) return void failed(new Error("A person needs a name."));
      if (!Object.keys(changed).length) return void note.replaceChildren("Nothing was changed.");
      save.disabled = true;
      try {
        person = await api("PATCH", path, { query, body: changed });
        dialog.querySelector("h2").textContent = person.name;
        note.replaceChildren();
        toast(`${person.name} is saved.`);
        onchange();
      } catch (error) {
        failed(error);
      }
      save.disabled = false;
    } }, FIELDS.map(([key, label]) => h("div", {}, h("label", { for: `person-${key}` }, label), inputs[key])), note, h("div", { class: "row end" }, save));
  }

  async function loadFaces() {
    try {
      const found = await api("GET", `${path}/faces`, { query });
      faces.replaceChildren(...found.faces.map(faceItem));
      if (!found.faces.length) faces.append(h("li", { class: "muted" }, "No face: this person cannot be recognised. Add a photo, or delete the person."));
    } catch (error) {
      if (!isLeaving(error)) faces.replaceChildren(h("li", { class: "bad" }, error.message));
    }
  }

  function faceItem(face, at) {
    const crop = cropOfFace(face.face_id);
    const score = face.quality?.score;
    const label = `Delete face ${at + 1}`;
    return h("li", {}, crop ? h("img", { class: "crop", src: crop, alt: `Face ${at + 1}` }) : h("span", { class: "crop" }, icon("face")),
      h("span", { class: "person-words" }, h("span", {}, `Face ${at + 1}`), h("small", {}, `${when(face.created_at)}${score === undefined ? "" : ` · quality ${Math.round(score)}`}${face.quality ? ` · ${face.quality.size_px} px` : ""}`)),
      button(`Move face ${at + 1} to somebody else`, { glyph: "move", quiet: true, kind: "plain", onclick: () => move(face, `face ${at + 1}`) }),
      button(label, { glyph: "trash", quiet: true, kind: "plain", onclick: async () => {
        if (!(await confirmed(`${label} of ${person.name}?`, "The face, its vector and its photo are deleted at once. The person stays.", "Delete face"))) return;
        try {
          await api("DELETE", `/v1/faces/${face.face_id}`, { query });
          toast(`A face of ${person.name} is deleted.`);
          await loadFaces();
          onchange();
        } catch (error) {
          failed(error);
        }
      } }));
  }

  function adding() {
    const place = h("div", { class: "note-line", role: "status" });
    const chooser = h("input", { type: "file", accept: "image/*", multiple: true, class: "hidden", tabindex: "-1", "aria-hidden": "true", onchange: async () => {
      const done = await enrol([...chooser.files], { person_id: person.person_id }, place);
      chooser.value = "";
      if (!done) return;
      toast(`${person.name} has ${count(done, "more face", "more faces")}.`);
      await loadFaces();
      onchange();
    } });
    return [chooser, place, button("Add photos", { glyph: "plus", onclick: () => chooser.click() })];
  }

  /** A field that finds other people of the collection; `pick` gets the one that is chosen. */
  function others(id, label, pick, place) {
    const input = h("input", { id, type: "search", autocomplete: "off", placeholder: "Name, e-mail or id" });
    const found = h("ul", { class: "found" });
    let wait;
    input.addEventListener("input", () => {
      clearTimeout(wait);
      wait = setTimeout(async () => {
        const text = input.value.trim();
        if (!text) return void found.replaceChildren();
        try {
          const people = (await findPeople(text)).people.filter((other) => other.person_id !== person.person_id);
          found.replaceChildren(...people.map((other) => h("li", {}, button(`${other.name}, ${count(other.faces, "face")}`, { onclick: () => pick(other) }))));
          place.textContent = people.length ? "" : "Nobody else of that name.";
        } catch (error) {
          failed(error, place);
        }
      }, 200);
    });
    return [h("label", { for: id }, label), input, found];
  }

  function merging() {
    const place = h("div", { class: "note-line", role: "status" });
    return h("section", { "aria-labelledby": "merge-head" }, h("h3", { id: "merge-head" }, "Merge"),
      others("merge-search", "Take over all faces of another person, who then goes", (other) => merge(other, place), place), place);
  }

  function move(face, label) {
    const place = h("div", { class: "note-line", role: "status" });
    const asking = openDialog(`Whose is ${label}?`, h("div", { class: "body" }, others("move-search", "Give it to somebody else of this collection", async (other) => {
      try {
        await api("PATCH", `/v1/faces/${face.face_id}`, { query, body: { person_id: other.person_id } });
        asking.close();
        toast(`${other.name} has the face now.`);
        await loadFaces();
        onchange();
      } catch (error) {
        failed(error, place);
      }
    }, place), place));
    asking.querySelector("input").focus();
  }

  async function merge(other, place) {
    const sure = await confirmed(`Merge ${other.name} into ${person.name}?`, `${person.name} gets ${count(other.faces, "face")}, and ${other.name} goes. This cannot be undone.`, "Merge");
    if (!sure) return;
    try {
      person = await api("POST", `${path}/merge`, { query, body: { merge: other.person_id } });
      forgetPerson(other.person_id);
      toast(`${other.name} is now ${person.name}, with ${count(person.faces, "face")}.`);
      dialog.close();
      onchange();
    } catch (error) {
      failed(error, place);
    }
  }

  function removing() {
    const place = h("div", { class: "note-line", role: "status" });
    return h("section", { "aria-labelledby": "delete-head" }, h("h3", { id: "delete-head" }, "Delete"),
      h("p", { class: "muted" }, "Faces, vectors and the photos that they came from go at once. The audit log keeps that it was asked for, and by whom."), place,
      button(`Delete ${person.name}`, { glyph: "trash", kind: "danger", onclick: async () => {
        if (!(await confirmed(`Delete ${person.name}?`, `${count(person.faces, "face")} with all vectors and photos. This cannot be undone.`, "Delete"))) return;
        try {
          const gone = await api("DELETE", path, { query });
          forgetPerson(person.person_id);
          toast(`${person.name} is deleted: ${count(gone.faces, "face")} and ${count(gone.photos ?? 0, "photo")}.`);
          dialog.close();
          onchange();
        } catch (error) {
          failed(error, place);
        }
      } }));
  }
}

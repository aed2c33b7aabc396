// The frame: signing in and out, the three views, the collection, light and dark.

import { api, isLeaving, session } from "./api.js";
import { forgetCrops } from "./crops.js";
import { button, h, icon, openDialog, say, toast } from "./dom.js";
import { operationsView } from "./operations.js";
import { peopleView } from "./people.js";
import { recogniseView } from "./recognise.js";

const THEME = "faces-theme";
const VIEWS = {
  photos: { title: "Photos", glyph: "face", make: recogniseView },
  people: { title: "People", glyph: "people", make: peopleView },
  operations: { title: "Operations", glyph: "pulse", make: operationsView },
};
const app = document.getElementById("app");

// ---------------------------------------------------------------- light and dark
function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function themeButton() {
  const made = button("Dark colours", { quiet: true, kind: "plain", glyph: "moon", onclick: () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(THEME, theme);
    write();
  } });
  const write = () => {
    const label = isDark() ? "Light colours" : "Dark colours";
    made.title = label;
    made.replaceChildren(icon(isDark() ? "sun" : "moon"), h("span", { class: "hidden" }, label));
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", write);
  write();
  return made;
}

// ---------------------------------------------------------------- signing in
function signIn(reason = "") {
  document.title = "Sign in · Elastic Faces";
  const key = h("input", { id: "key", type: "password", autocomplete: "current-password", required: true, spellcheck: false, "aria-describedby": "key-hint key-note" });
  const note = h("div", { id: "key-note", class: "note-line", role: "status" }, reason && h("p", { class: "bad" }, icon("warn"), reason));
  const enter = h("button", { class: "button primary wide", type: "submit" }, "Sign in");
  const form = h("form", { class: "card sign-in", novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    const given = key.value.trim();
    if (!given) {
      note.replaceChildren(h("p", { class: "bad" }, icon("warn"), "Enter a key first."));
      return void key.focus();
    }
    enter.disabled = true;
    note.textContent = "Checking the key…";
    session.begin(given);
    try {
      await api("GET", "/v1/people", { entering: true, query: { limit: 1 } });
    } catch (error) {
      // A key without the scope, or a tenant without people, is a key all the same.
      if (error.status !== 403 && error.code !== "unknown_collection") {
        sessionStorage.clear();
        enter.disabled = false;
        const text = error.status === 401 ? "This key is not known here. Check it, or ask for another." : error.message;
        note.replaceChildren(h("p", { class: "bad" }, icon("warn"), text));
        return void key.focus();
      }
    }
    signedIn();
  } },
  h("div", { class: "brand big" }, icon("face"), h("h1", {}, "Elastic Faces")),
  h("p", { class: "muted" }, "Who is in a photo, answered by a service of your own."),
  h("label", { for: "key" }, "API key"), key, note, enter,
  h("p", { class: "muted small", id: "key-hint" }, "The key stays in this tab until you sign out or close it."));
  app.replaceChildren(h("div", { class: "corner" }, themeButton()), h("main", { class: "entrance" }, form));
  key.focus();
}

// ---------------------------------------------------------------- signed in
function signedIn() {
  const made = new Map();
  const links = new Map();
  const main = h("main", { id: "main", tabindex: "-1" });
  const nav = h("nav", { "aria-label": "Views" }, Object.entries(VIEWS).map(([name, view]) => {
    const link = h("a", { href: `#/${name}` }, icon(view.glyph), h("span", {}, view.title));
    links.set(name, link);
    return link;
  }));
  const picker = h("select", { id: "collection", onchange: () => pick(picker.value) });
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, "To the content");
  app.replaceChildren(skip,
    h("header", { class: "top" }, h("div", { class: "brand" }, icon("face"), h("span", {}, "Elastic Faces")), nav,
      h("div", { class: "tools" }, h("label", { class: "hidden", for: "collection" }, "Collection"), picker, themeButton(),
        button("Sign out", { glyph: "out", quiet: true, kind: "plain", onclick: () => session.end() }))),
    h("div", { id: "offline", class: "banner", role: "status", hidden: navigator.onLine }, icon("warn"), "There is no network. What is on its way goes on by itself."),
    main);

  let current;
  function go(focus = true) {
    const name = location.hash.replace(/^#\//, "");
    const wanted = name in VIEWS ? name : "photos";
    if (wanted === current) return;
    made.get(current)?.hide?.();
    current = wanted;
    if (!made.has(wanted)) made.set(wanted, VIEWS[wanted].make());
    const view = made.get(wanted);
    main.replaceChildren(view.element);
    view.show?.();
    document.title = `${VIEWS[wanted].title} · Elastic Faces`;
    links.forEach((link, each) => (each === wanted ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current")));
    if (focus) view.element.querySelector("h1")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  async function collections() {
    let names = [];
    try {
      names = (await api("GET", "/v1/collections")).collections.map((each) => each.collection);
    } catch (error) {
      if (isLeaving(error)) return;
    }
    const all = [...new Set([...names, session.collection])].sort();
    picker.replaceChildren(...all.map((name) => h("option", { value: name }, name)), h("option", { value: "" }, "New collection…"));
    picker.value = session.collection;
  }

  function pick(name) {
    if (name) {
      session.collection = name;
      say(`Collection ${name}.`);
      made.get(current)?.show?.();
      return;
    }
    picker.value = session.collection;
    const input = h("input", { id: "new-collection", required: true, maxlength: 63, autocomplete: "off", pattern: "[A-Za-z0-9][A-Za-z0-9_.\\-]*" });
    const note = h("div", { class: "note-line", role: "status" });
    const dialog = openDialog("New collection", h("form", { class: "body", novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      try {
        const { collection } = await api("POST", "/v1/collections", { body: { collection: input.value.trim() } });
        session.collection = collection;
        dialog.close();
        toast(`Collection ${collection} is made.`);
        await collections();
        made.get(current)?.show?.();
      } catch (error) {
        if (!isLeaving(error)) note.replaceChildren(h("p", { class: "bad" }, icon("warn"), error.message));
      }
    } }, h("label", { for: "new-collection" }, "Name"), input, h("p", { class: "muted" }, "Letters, digits, dots and hyphens. People are found only in the collection that they are in."), note,
    h("div", { class: "row end" }, h("button", { class: "button primary", type: "submit" }, "Make"))));
    input.focus();
  }

  const route = () => go();
  const network = () => { document.getElementById("offline").hidden = navigator.onLine; };
  window.addEventListener("hashchange", route);
  window.addEventListener("online", network);
  window.addEventListener("offline", network);
  session.onend = (reason) => {
    window.removeEventListener("hashchange", route);
    window.removeEventListener("online", network);
    window.removeEventListener("offline", network);
    made.forEach((view) => view.end?.());
    forgetCrops();
    document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
    document.getElementById("toasts").replaceChildren();
    signIn(reason);
    if (!reason) say("You are signed out.");
  };
  collections();
  go();
}

document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => event.preventDefault());
const theme = localStorage.getItem(THEME);
if (theme) document.documentElement.dataset.theme = theme;
if (session.key) signedIn();
else signIn();

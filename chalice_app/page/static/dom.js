// Elements, icons, and words for everybody: nothing here knows what the page is about.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Make an HTML element; text is always text, never markup. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** Make an SVG element. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

const ICONS = {
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
  check: "M5 12.5l4.5 4.5L19 7.5",
  chevron: "M9 6l6 6-6 6",
  close: "M6 6l12 12M18 6L6 18",
  face: "M8.5 10v.5M15.5 10v.5M8.5 15a5 5 0 0 0 7 0M4 8V5.5A1.5 1.5 0 0 1 5.5 4H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5V8M20 16v2.5a1.5 1.5 0 0 1-1.5 1.5H16M8 20H5.5A1.5 1.5 0 0 1 4 18.5V16",
  merge: "M6 4v4a6 6 0 0 0 6 6 6 6 0 0 0 6-6V4M12 14v6M9 17l3 3 3-3",
  move: "M5 12h14M14 7l5 5-5 5",
  moon: "M19.5 14A8 8 0 0 1 10 4.5a8 8 0 1 0 9.5 9.5z",
  out: "M14 4h5v16h-5M4 12h10M10.5 8l4 4-4 4",
  pause: "M8 5v14M16 5v14",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-3.5 2.5-6 6-6s6 2.5 6 6M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5c2 .8 3 2.8 3 5.5",
  play: "M7 5l12 7-12 7z",
  plus: "M12 5v14M5 12h14",
  pulse: "M3 13h4l3-8 4 14 3-6h4",
  redo: "M20 11a8 8 0 1 0-2 6M20 5v6h-6",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l4.5 4.5",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.700M17.3 17.300L19 19M5 19l1.7-1.700M17.3 6.700L19 5",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
  upload: "M12 16V5M7.5 9.5L12 5l4.5 4.5M4 16v3.5h16V16",
  warn: "M12 4l9.5 16h-19zM12 10v4.5M12 17v.5",
};

/** Draw an icon; it says nothing to a screen reader, so a label must stand beside it. */
export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: ICONS[name] }));
}

/** A button with an icon; `quiet` ones show the label only to screen readers and as a hint. */
export function button(label, { glyph, kind = "", quiet = false, ...props } = {}) {
  return h("button", { type: "button", class: `button ${kind} ${quiet ? "quiet" : ""}`, title: quiet ? label : undefined, ...props },
    glyph && icon(glyph), h("span", { class: quiet ? "hidden" : "" }, label));
}

let announcements = 0;

/** Tell a screen reader; an alarm interrupts it. */
export function say(text, { alarm = false } = {}) {
  const place = document.getElementById(alarm ? "alarmed" : "said");
  const number = ++announcements;
  place.textContent = "";
  setTimeout(() => { place.textContent = text; }, 50);
  setTimeout(() => { if (number === announcements) place.textContent = ""; }, 8000);
}

/** Show a short message; errors stay until they are closed. */
export function toast(text, { bad = false, action } = {}) {
  const shown = h("div", { class: `toast ${bad ? "bad" : ""}` },
    icon(bad ? "warn" : "check"), h("p", {}, text),
    action && button(action.label, { kind: "plain", onclick: () => { shown.remove(); action.run(); } }),
    button("Close this message", { glyph: "close", quiet: true, kind: "plain", onclick: () => shown.remove() }));
  document.getElementById("toasts").append(shown);
  say(text, { alarm: bad });
  if (!bad) setTimeout(() => { if (!shown.matches(":hover, :focus-within")) shown.remove(); }, 7000);
}

/** Open a modal dialog; it takes the focus, Escape closes it, and the focus returns. */
export function openDialog(title, content, { sheet = false, onclose } = {}) {
  const opener = document.activeElement;
  const id = `dialog-${++announcements}`;
  const dialog = h("dialog", { class: sheet ? "sheet" : "", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title),
      button("Close", { glyph: "close", quiet: true, kind: "plain", onclick: () => dialog.close() })),
    content);
  dialog.addEventListener("close", () => {
    dialog.remove();
    onclose?.();
    if (opener?.isConnected) opener.focus();
  });
  // A click beside the dialog lands on the dialog itself.
  dialog.addEventListener("mousedown", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask before something that cannot be undone; resolves to whether it was confirmed. */
export function confirmed(title, text, verb) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = button(verb, { kind: "danger", onclick: () => { answer = true; dialog.close(); } });
    const no = button("Cancel", { onclick: () => dialog.close(), autofocus: true });
    const dialog = openDialog(title, h("div", { class: "body" }, h("p", {}, text), h("div", { class: "row end" }, no, yes)),
      { onclose: () => resolve(answer) });
  });
}

/** Join a number and its word: 1 face, 2 faces. */
export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** Say how long ago or how far ahead a moment is. */
export function when(text) {
  const seconds = (Date.now() - new Date(text).getTime()) / 1000;
  if (seconds < 10) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return new Date(text).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

/** Say a span of seconds as a person would. */
export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

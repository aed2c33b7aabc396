// Photos in, names out.

import { openCamera } from "./camera.js";
import { button, count, h, icon, say } from "./dom.js";
import { photoCard } from "./photocard.js";

/** Make the view that takes photos and shows who is in them. */
export function recogniseView() {
  const chooser = h("input", { type: "file", id: "chooser", accept: "image/*,.heic,.heif", multiple: true, class: "hidden", tabindex: "-1", "aria-hidden": "true", onchange: () => { take([...chooser.files]); chooser.value = ""; } });
  const choose = button("Choose photos", { glyph: "upload", kind: "primary", onclick: () => chooser.click() });
  const camera = button("Camera", { glyph: "camera", onclick: () => openCamera((photo) => take([photo])) });
  const drop = h("div", { class: "drop" }, icon("face"),
    h("div", { class: "drop-words" }, h("h1", { tabindex: "-1" }, "Who is in the photo?"),
      h("p", { class: "muted" }, "Drop or paste photos here, choose them, or take one. They go straight to the store of this service and are by default deleted after a day.")),
    h("div", { class: "row" }, choose, camera), chooser);
  const bulk = button("Look again at unknown faces", { glyph: "redo", hidden: true, onclick: () => cards().filter((card) => card.hasUnknown()).forEach((card) => card.again()) });
  const tally = h("p", { class: "muted" });
  const bar = h("div", { class: "row between list-bar", hidden: true }, tally, bulk);
  const list = h("div", { class: "photos" });
  const element = h("div", { class: "view recognise" }, drop, bar, list);
  const cards = () => [...list.children];

  function take(files) {
    if (!files.length) return;
    const made = files.map((file) => photoCard(file, update));
    list.prepend(...made);
    made.forEach((card) => card.start());
    say(`${count(files.length, "photo")} on the way.`);
    update();
  }

  function update() {
    const all = cards();
    const busy = all.filter((card) => card.busy).length;
    drop.classList.toggle("small", all.length > 0);
    bar.hidden = all.length < 2;
    tally.textContent = busy ? `${all.length - busy} of ${count(all.length, "photo")} done` : count(all.length, "photo");
    bulk.hidden = all.length < 2 || !all.some((card) => card.hasUnknown());
  }

  for (const name of ["dragenter", "dragover"]) {
    element.addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  element.addEventListener("dragleave", (event) => { if (!element.contains(event.relatedTarget)) drop.classList.remove("over"); });
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
  const paste = (event) => {
    if (!element.isConnected || event.target.closest?.("input, dialog")) return;
    take([...(event.clipboardData?.files ?? [])]);
  };
  document.addEventListener("paste", paste);

  return { element, end: () => document.removeEventListener("paste", paste) };
}

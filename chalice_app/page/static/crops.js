// Small pictures of faces, cut from photos in this tab. They are kept in memory only, and the
// service has none: who signs out, or closes the tab, leaves nothing behind.

const SIDE = 144;
const byPerson = new Map();
const byFace = new Map();
const all = [];

/**
 * Cut a face from an upright photo, with a little of what is around it.
 *
 * `width` is the photo's as the service saw it: a large one was sent smaller.
 */
export async function cut(bitmap, box, width) {
  const scale = bitmap.width / width;
  const size = scale * Math.max(box.right - box.left, box.bottom - box.top) * 1.5;
  const left = (scale * (box.left + box.right) - size) / 2;
  const top = (scale * (box.top + box.bottom) - size) / 2;
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, size, size, 0, 0, SIDE, SIDE);
  const url = URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 }));
  all.push(url);
  return url;
}

export function remember(url, { person, face }) {
  if (person && !byPerson.has(person)) byPerson.set(person, url);
  if (face) byFace.set(face, url);
}

export const cropOf = (person) => byPerson.get(person);
export const cropOfFace = (face) => byFace.get(face);

export function forgetPerson(person) {
  byPerson.delete(person);
}

export function forgetCrops() {
  for (const url of all.splice(0)) URL.revokeObjectURL(url);
  byPerson.clear();
  byFace.clear();
}

// One photo's way: made fit for the service, sent straight to S3, awaited.

import { Problem, api, online, pause, session } from "./api.js";

const ACCEPTED = ["image/jpeg", "image/png", "image/webp"];
const MOST_BYTES = 10 * 1024 * 1024;
const LONGEST_SIDE = 4096;
const AT_ONCE = 4;
const STILL = 60_000;

const NOT_READ = "This file is no photo that the browser can read; choose a JPEG, PNG or WebP photo.";
const LOST = "The connection was lost while the photo was sent. Try again when the network is back.";

/** Return what can be sent: the file itself, or a JPEG of what the service would not take. */
async function fit(file) {
  if (file.size === 0) throw new Problem("This file is empty; choose another.", { code: "upload_empty" });
  if (ACCEPTED.includes(file.type) && file.size <= MOST_BYTES) return file;
  let photo;
  try {
    photo = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Problem(NOT_READ, { code: "not_an_image" });
  }
  const scale = Math.min(1, LONGEST_SIDE / Math.max(photo.width, photo.height));
  const canvas = new OffscreenCanvas(Math.round(photo.width * scale), Math.round(photo.height * scale));
  canvas.getContext("2d").drawImage(photo, 0, 0, canvas.width, canvas.height);
  photo.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
}

function send(form, photo, onprogress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const data = new FormData();
    for (const [name, value] of Object.entries(form.fields)) data.append(name, value);
    data.append("file", photo);
    // A slow network may take its time; one on which nothing moves is lost.
    let still;
    const moves = () => {
      clearTimeout(still);
      still = setTimeout(() => { request.abort(); reject(new Problem(LOST, { code: "offline" })); }, STILL);
    };
    request.upload.onprogress = (event) => {
      moves();
      if (event.lengthComputable) onprogress(event.loaded / event.total);
    };
    request.onloadend = () => clearTimeout(still);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(refusal(request));
    };
    request.onerror = () => reject(new Problem(LOST, { code: "offline" }));
    signal.addEventListener("abort", () => { request.abort(); reject(signal.reason); }, { once: true });
    request.open("POST", form.url);
    moves();
    request.send(data);
  });
}

function refusal(request) {
  const reason = /<Code>(\w+)<\/Code>/.exec(request.responseText)?.[1];
  const sentences = {
    EntityTooLarge: "The photo is too large; choose one below 10 MB.",
    EntityTooSmall: "The file is empty; choose another.",
  };
  const later = request.status >= 500;
  return new Problem(sentences[reason] ?? `The store did not take the photo (${reason ?? request.status}). Try again.`,
    { status: request.status, code: later ? "offline" : "upload_rejected" });
}

/** Do something until the network lets it through; what the service refuses is final. */
async function steadily(action, tell, signal, most = 12) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof Problem) || !error.offline || tries >= most) throw error;
      tell("offline");
      await online(60_000, signal);
      await pause(Math.min(8000, 250 * 2 ** tries), signal);
    }
  }
}

/** Open a job and send its photo; a form that expired meanwhile is replaced. */
async function submit(photo, body, tell, signal, onjob) {
  let created;
  await steadily(async () => {
    if (!created || Date.now() > Date.parse(created.upload.expires_at)) {
      created = await api("POST", "/v1/jobs", { signal, body });
      onjob(created.job_id);
    }
    if (photo.size > created.upload.max_bytes) {
      throw new Problem("The photo is too large; choose a smaller one.", { code: "upload_too_large" });
    }
    tell("sending", 0);
    await send(created.upload, photo, (share) => tell("sending", share), signal);
  }, tell, signal);
  return created.job_id;
}

async function ended(jobId, tell, signal) {
  const until = Date.now() + 15 * 60_000;
  while (Date.now() < until) {
    tell("waiting");
    const view = await steadily(() => api("GET", `/v1/jobs/${jobId}`, { query: { wait: 15 }, signal }), tell, signal, 30);
    if (view.state === "succeeded") return view.result;
    if (view.state === "failed" || view.state === "expired") {
      throw new Problem(view.error?.message ?? "The photo was not answered.", { code: view.error?.code });
    }
    if (view.state === "awaiting_upload") await pause(500, signal);
  }
  throw new Problem("The photo is still in the queue. It will be answered; look again later.", { code: "job_unfinished" });
}

const places = { taken: 0, waiting: [] };

async function place(signal) {
  while (places.taken >= AT_ONCE) await new Promise((resolve) => places.waiting.push(resolve));
  if (signal.aborted) {
    places.waiting.shift()?.();
    throw signal.reason;
  }
  places.taken += 1;
}

function leave() {
  places.taken -= 1;
  places.waiting.shift()?.();
}

/**
 * Send a photo and return its result.
 *
 * `tell(stage, share)` hears of: preparing, sending (0 to 1), waiting, offline; `onjob` of the
 * id of each job that is opened for it.
 */
export async function ask(file, request, tell, { onjob = () => {}, signal = session.ended.signal } = {}) {
  await place(signal);
  try {
    tell("preparing");
    const photo = await fit(file);
    const name = file.name?.replace(/\p{C}/gu, "").slice(0, 100) || undefined;
    const body = { collection: session.collection, content_type: photo.type, file_name: name, ...request };
    const jobId = await submit(photo, body, tell, signal, onjob);
    return await ended(jobId, tell, signal);
  } finally {
    leave();
  }
}

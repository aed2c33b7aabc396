// The service: one function for every request, errors in the service's own words.

const BASE = document.querySelector('meta[name="api"]').content;
const KEY = "faces-key";
const COLLECTION = "faces-collection";
const TRIES = 3;

const OFFLINE = "There is no connection to the service. Check the network; nothing is lost.";

/** What the service, or the way to it, answered instead; the message is for people. */
export class Problem extends Error {
  constructor(sentence, { code = "", status = 0, requestId = "", retryAfter = 0, field = "" } = {}) {
    super(sentence);
    Object.assign(this, { code, status, requestId, retryAfter, field });
  }

  get offline() {
    return this.code === "offline";
  }
}

/** Who is signed in: the key lives in this tab only, and in no address. */
export const session = {
  ended: new AbortController(),
  onend: () => {},
  get key() {
    return sessionStorage.getItem(KEY) ?? "";
  },
  get collection() {
    return sessionStorage.getItem(COLLECTION) ?? "default";
  },
  set collection(name) {
    sessionStorage.setItem(COLLECTION, name);
  },
  begin(key) {
    this.ended = new AbortController();
    sessionStorage.setItem(KEY, key);
  },
  end(reason = "") {
    this.ended.abort();
    sessionStorage.clear();
    this.onend(reason);
  },
};

export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

async function problemOf(response) {
  const facts = {
    status: response.status,
    requestId: response.headers.get("X-Request-Id") ?? "",
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  };
  try {
    const found = await response.json();
    return new Problem(found.detail ?? found.title ?? `The service answered ${response.status}.`,
      { ...facts, code: found.code, field: found.field, requestId: found.request_id ?? facts.requestId });
  } catch {
    return new Problem(`The service answered ${response.status} without saying why. Try again shortly.`, facts);
  }
}

async function once(method, path, { query = {}, body, signal } = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  const headers = { "X-Api-Key": session.key, Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(BASE + path + search, {
      method, headers, signal: signal ?? session.ended.signal, cache: "no-store", credentials: "omit",
      referrerPolicy: "no-referrer", body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(OFFLINE, { code: "offline" });
  }
  if (!response.ok) throw await problemOf(response);
  try {
    return await response.json();
  } catch {
    throw new Problem(OFFLINE, { code: "offline" });
  }
}

/** Ask the service; what may be asked again is, as Retry-After says. */
export async function api(method, path, options = {}) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await once(method, path, options);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.status === 401 && !options.entering) {
        session.end("This key is no longer accepted. Sign in again.");
        throw new DOMException("signed out", "AbortError");
      }
      const again = error.status === 429 || error.status === 503 || (error.status === 502 && method === "GET");
      if (!again || tries >= TRIES) throw error;
      await pause(1000 * (error.retryAfter || 2 ** tries) * (0.8 + 0.4 * Math.random()), options.signal ?? session.ended.signal);
    }
  }
}

/** Whether an error only says that somebody left. */
export function isLeaving(error) {
  return error?.name === "AbortError";
}

/** Wait until the browser has a network, at most so long. */
export function online(milliseconds, signal) {
  if (navigator.onLine) return Promise.resolve();
  return Promise.race([
    new Promise((resolve) => window.addEventListener("online", resolve, { once: true })),
    pause(milliseconds, signal),
  ]);
}

/** All people of the collection whose name holds a text, up to a number. */
export function findPeople(text, limit = 8) {
  return api("GET", "/v1/people", { query: { collection: session.collection, query: text, limit } });
}

/**
 * Use an API of flask-login-tokenauth from a page: log in, call it, log out.
 *
 * The access token is in this module's memory alone, the refresh token in a cookie that
 * no script can read. All tabs share one login, and one refresh. The storage has no
 * token, only the end of the login and the id of its session: a page without a login asks
 * for nothing, and a cookie of another session, which a host under the same domain can
 * set, is not taken for the user's.
 *
 * @module
 */

/** Where the endpoints are, for example `https://api.example.com/auth/`. */
const ENDPOINTS = new URL(".", import.meta.url);

const NAME = `tokenauth ${ENDPOINTS}`;
const REFUSED = ["token_expired", "token_invalid", "token_revoked"];
const BUSY = ["overloaded", "store_unavailable"];
const RETRIES = 3;
const LONGEST_WAIT = 30; // seconds
const NEWS_WAIT = 500; // milliseconds

/** @type {string | null} */
let token = null;
/** @type {Promise<Response | null> | null} */
let renewal = null;
/** @type {Set<(isIn: boolean) => void>} */
const listeners = new Set();
const tabs = new BroadcastChannel(NAME);
/** @type {Partial<Storage>} */
let storage = {};
try {
  storage = localStorage;
} catch {
  // The browser keeps nothing for this page, so nobody can log in.
}

tabs.addEventListener("message", ({ data }) => accept(data.token, data.isNew));
addEventListener("pageshow", ({ persisted }) => {
  if (!persisted) return;
  token = null; // the page was away: others may have logged out, or in
  tell(isLoggedIn());
});

/**
 * Return whether somebody is logged in, as far as this browser knows.
 *
 * @returns {boolean}
 */
export function isLoggedIn() {
  return token !== null || kept().end > Date.now();
}

/**
 * Call a function after each login, logout and end of the login, in whichever tab, and
 * when the browser shows the page again that it had put aside.
 *
 * @param {(isIn: boolean) => void} listener Is told whether somebody is logged in.
 * @returns {() => void} Stops it.
 */
export function onChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/**
 * Log in.
 *
 * @param {string} username
 * @param {string} password
 * @param {{ label?: string, scope?: string }} [more]
 * @returns {Promise<Response>} The answer, good or bad.
 * @throws {DOMException} A `SecurityError`: the browser blocks all cookies here.
 */
export function login(username, password, more = {}) {
  const body = { ...more, username, password, cookie: true };
  return locked(() => obtain("login", post(body)));
}

/**
 * Log out, in all tabs. It has not happened unless the answer is `ok`, or a 401.
 *
 * @returns {Promise<Response>}
 */
export async function logout() {
  const answer = await withToken(() =>
    locked(() => patient(new URL("logout", ENDPOINTS), authorized(post()))),
  );
  if (answer.ok || answer.status === 401) share(null);
  return answer;
}

/**
 * Change the password; every other session ends.
 *
 * @param {string} current
 * @param {string} next
 * @returns {Promise<Response>} The answer, good or bad.
 */
export function changePassword(current, next) {
  const body = { current_password: current, new_password: next };
  return withToken(() => locked(() => obtain("password", authorized(post(body)))));
}

/**
 * Take the cookie over that was set without `login`, for example by a redirect after a
 * login elsewhere.
 *
 * @returns {Promise<boolean>} Whether somebody is logged in.
 */
export async function refresh() {
  await locked(() => obtain("refresh", post({}), true));
  return token !== null;
}

/**
 * Do what `fetch` does, with the access token. If that has expired, refresh it and
 * repeat the request. A 503 of tokenauth's is repeated after its `Retry-After`.
 *
 * @param {string | URL} path An address on the API's origin.
 * @param {RequestInit} [options] As for `fetch`; the body must not be a stream.
 * @returns {Promise<Response>} The answer. A 401 whose `code` is `token_...`: nobody is
 *   logged in any more.
 * @throws {TypeError} The address is on another origin, which must not get the token;
 *   it is a `Request`; or the network fails.
 */
export async function api(path, options = {}) {
  if (path instanceof Request) throw new TypeError("Pass an address and options.");
  const url = new URL(path, ENDPOINTS.origin);
  if (url.origin !== ENDPOINTS.origin) {
    throw new TypeError(`The token is for ${ENDPOINTS.origin}, not for ${url.origin}.`);
  }
  return withToken(() => patient(url, authorized(options)));
}

/**
 * @param {() => Promise<Response>} attempt
 * @returns {Promise<Response>}
 */
async function withToken(attempt) {
  if (!token && isLoggedIn()) {
    const failure = await renew(null);
    if (!token && failure && failure.status !== 400) return failure;
  }
  const seen = token;
  const answer = await attempt();
  if (!seen || answer.status !== 401 || !(await hasCode(answer, REFUSED))) return answer;
  const failure = token === seen ? await renew(seen) : null;
  if (token === seen) return failure ?? answer;
  return token ? attempt() : answer;
}

/**
 * Refresh once for all calls of this tab, and for all tabs.
 *
 * @param {string | null} seen The token that was refused.
 * @returns {Promise<Response | null>} Null: another tab has done it.
 */
function renew(seen) {
  renewal ??= exchange(seen).finally(() => (renewal = null));
  return renewal;
}

/** @param {string | null} seen */
async function exchange(seen) {
  const ask = () => obtain("refresh", post({}));
  const options = { ifAvailable: true };
  const answer = await locked((lock) => lock && ask(), options);
  if (answer) return answer;
  return locked(async () => {
    await news(seen); // from the tab that had the lock
    return token === seen ? ask() : null;
  });
}

/** @param {string | null} seen */
function news(seen) {
  return new Promise((done) => {
    if (token !== seen) return done(null);
    tabs.addEventListener("message", done, { once: true });
    setTimeout(done, NEWS_WAIT, null);
  });
}

/**
 * @template T
 * @param {(lock: Lock | null) => T | Promise<T>} work
 * @param {LockOptions} [options]
 * @returns {Promise<T>}
 */
async function locked(work, options = {}) {
  if (!navigator.locks) throw new Error("Browsers need HTTPS, or http://localhost.");
  return navigator.locks.request(NAME, options, work);
}

/**
 * @param {"login" | "password" | "refresh"} path
 * @param {RequestInit} options
 * @param {boolean} [isNew] Whether it may be another session than before.
 */
async function obtain(path, options, isNew = path !== "refresh") {
  const answer = await patient(new URL(path, ENDPOINTS), options);
  const tokens = answer.ok ? await answer.clone().json() : null;
  if (tokens && (isNew || (await isOurs(tokens.access_token)))) {
    share(tokens, isNew);
  } else if (tokens) {
    token = tokens.access_token; // ends that session, and clears its cookie
    await fetch(new URL("logout", ENDPOINTS), authorized(post()));
    share(null);
    return Response.json({ code: "invalid_grant" }, { status: 400 });
  } else if (path === "refresh" && answer.status === 400) share(null);
  return answer;
}

/** @param {string} accessToken */
async function isOurs(accessToken) {
  for (const wait of [0, NEWS_WAIT]) {
    await sleep(wait); // another tab may just have logged in
    const session = kept().session ?? (token && sessionOf(token));
    if (!session || session === sessionOf(accessToken)) return true;
  }
  return false;
}

/**
 * Return the id of a token's session. What a token says is signed, not encrypted.
 *
 * @param {string} accessToken
 */
function sessionOf(accessToken) {
  const content = accessToken.split(".").at(-2) ?? "";
  const bytes = atob(content.replaceAll("-", "+").replaceAll("_", "/"));
  return bytes.match(/(?<![\w-])[\w-]{22}(?![\w-])/)?.[0];
}

/** Return what the storage has of the login. */
function kept() {
  const [end, session] = storage.getItem?.(NAME)?.split(" ") ?? [];
  return { end: Number(end ?? 0), session };
}

/** @param {number} milliseconds */
function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/**
 * @param {URL} url
 * @param {RequestInit} options
 */
async function patient(url, options) {
  for (let tries = 0; ; tries++) {
    const answer = await fetch(url, options);
    if (answer.status !== 503 || tries === RETRIES) return answer;
    // On another origin the header is hidden unless the server exposes it.
    const wait = Number(answer.headers.get("Retry-After")) || 1;
    if (wait > LONGEST_WAIT || !(await hasCode(answer, BUSY))) return answer;
    await sleep(wait * 1000);
  }
}

/** @param {object} [body] */
function post(body) {
  /** @type {RequestInit} */
  const options = { method: "POST", credentials: "include", keepalive: true };
  const headers = { "Content-Type": "application/json" };
  return body ? { ...options, headers, body: JSON.stringify(body) } : options;
}

/** @param {RequestInit} options */
function authorized(options) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return { ...options, headers };
}

/**
 * @param {Response} answer
 * @param {string[]} codes
 */
async function hasCode(answer, codes) {
  const problem = await answer.clone().json().catch(() => null);
  return codes.includes(problem?.code);
}

/**
 * Let all tabs know the tokens that were obtained; null: nobody is logged in any more.
 *
 * @param {{ access_token: string, refresh_expires_in: number } | null} tokens
 */
function share(tokens, isNew = true) {
  if (tokens) {
    const end = Date.now() + tokens.refresh_expires_in * 1000;
    storage.setItem?.(NAME, `${end} ${sessionOf(tokens.access_token)}`);
  } else storage.removeItem?.(NAME);
  const data = { token: tokens?.access_token ?? null, isNew };
  tabs.postMessage(data);
  accept(data.token, isNew);
}

/**
 * @param {string | null} next
 * @param {boolean} isNew
 */
function accept(next, isNew) {
  token = next;
  if (isNew) tell(next !== null);
}

/** @param {boolean} isIn */
function tell(isIn) {
  for (const listener of listeners) listener(isIn);
}

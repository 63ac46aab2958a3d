/**
 * Client for Relay's API, on this origin only.
 */

import { errors, t } from "./i18n.js";
import { key } from "./session.js";

/** A failed call: the response's status and error, or status 0 if there was no response. */
export class CallFailed extends Error {
  constructor({ status, code, message, details = [], retryAfter = null }) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
    this.retryAfter = retryAfter;
  }
}

/** Dispatches `signedout` when the API no longer accepts the key. */
export const signedOut = new EventTarget();

/** Call the API and return the JSON of its response, or null for 204. Sends `body` as JSON, a `Blob` unchanged. Throws `CallFailed`. */
export async function call(method, path, { body, signal } = {}) {
  const response = await request(method, path, { body, signal });
  return response.status === 204 ? null : await response.json();
}

export function get(path, signal) {
  return call("GET", path, { signal });
}

/** Fetch a response as a `Blob`, to save it or show it as text. */
export async function download(path, signal) {
  return await (await request("GET", path, { signal })).blob();
}

/** Fetch every page of an export, of which the header `Link` names the next, as one `Blob`. */
export async function downloadPages(path, signal) {
  const parts = [];
  for (let next = path; next; ) {
    const response = await request("GET", next, { signal });
    parts.push(await response.blob());
    const link = response.headers.get("Link")?.match(/<([^>]+)>; rel="next"/);
    next = link && localPath(link[1]);
  }
  return new Blob(parts, { type: parts[0].type });
}

/** Return the path and query of a link in a response. The host is dropped, because it can be a public name that differs from this page's. */
export function localPath(link) {
  const url = new URL(link, location.href);
  return url.pathname + url.search;
}

async function request(method, path, { body, signal }) {
  const headers = { Accept: "application/json" };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const isBlob = body instanceof Blob;
  if (body !== undefined) headers["Content-Type"] = isBlob ? body.type : "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: isBlob || body === undefined ? body : JSON.stringify(body), cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallFailed({ status: 0, code: "no_response", message: t("error.noResponse") });
  }
  if (response.ok) return response;
  const failure = await failureOf(response);
  if (failure.status === 401) signedOut.dispatchEvent(new Event("signedout"));
  throw failure;
}

/** Return the message of an error in the language of the page, if its code has one. */
function messageOf({ code, message }) {
  return errors[code] ?? message;
}

async function failureOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  try {
    const { error } = await response.json();
    return new CallFailed({ status: response.status, retryAfter, code: error.code, message: messageOf(error), details: error.details?.map((each) => ({ ...each, message: messageOf(each) })) });
  } catch {
    return new CallFailed({ status: response.status, retryAfter, code: "failed", message: t("error.status", { status: String(response.status) }) });
  }
}

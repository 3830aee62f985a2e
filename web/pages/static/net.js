// Asking the server: JSON in and out, the read token where one is set.

const KEY = "event-counter-read-token";

/** The token that was typed in, "" without one. */
export const token = () => sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? "";

/**
 * @param {string} value "" forgets it
 * @param {boolean} stay keep it for later visits, too
 */
export function setToken(value, stay) {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
  if (value) (stay ? localStorage : sessionStorage).setItem(KEY, value);
}

/** @returns {Record<string, string>} */
export const authorization = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

/** @typedef {{status: number, body: any}} Reply status 0: nobody answered */

/**
 * Ask; never throws. body: sent as JSON with POST.
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Reply>}
 */
export async function ask(path, body, signal) {
  try {
    const answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { ...authorization(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      cache: "no-store",
      signal: signal ?? AbortSignal.timeout(8000),
    });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    return { status: 0, body: { code: "no_answer", message: `No answer: ${error}` } };
  }
}

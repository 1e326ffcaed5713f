/** Requests to the server's HTTP API, with the token of the page's link. */

/** The token from the fragment of the page's link; null if there is none. */
export const token = new URLSearchParams(location.hash.slice(1)).get("token");

/** Send a request and return the response. Throws an Error with the server's explanation if it fails. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: token ? { Authorization: `Bearer ${token}` } : {} });
  } catch {
    throw new Error("The server does not answer. Check that livestyle serve is running.");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error ?? `The server answered with status ${response.status}.`);
}

/** The address of a session's paintings as MJPEG, for OBS. */
export function streamAddress(session) {
  const address = new URL("/stream.mjpg", location.origin);
  address.searchParams.set("session", session);
  if (token) address.searchParams.set("token", token);
  return address.href;
}

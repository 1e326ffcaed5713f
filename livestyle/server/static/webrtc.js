/** A session by WebRTC: the camera's video to the server, and the paintings back, on one connection. For links that lose packets. */

const REQUEST_MS = 15_000; // limit for an answer

/**
 * Open a session. camera: a MediaStream. token: null if the server has none. query: {session}, the ID of a session to paint in,
 * or {style, strength, keep_colors} for a new one, each optional. onEnd() is called if the connection ends by itself.
 * Returns {session, paintings, end}: the session's ID, for /api/sessions/ID; a MediaStream for a <video>; a function that ends
 * the connection, and waits until the server has freed it. Throws an Error with the server's explanation.
 */
export async function openSession(camera, token, query, onEnd) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const peer = new RTCPeerConnection();
  const [track] = camera.getVideoTracks();
  const { receiver, sender } = peer.addTransceiver(track, { direction: "sendrecv" });
  let address = null; // of the session
  let isEnding = false;

  const end = async () => {
    isEnding = true;
    const options = { method: "DELETE", headers, keepalive: true, signal: AbortSignal.timeout(REQUEST_MS) };
    if (address && receiver.transport?.state !== "closed") await fetch(address, options).catch(() => {});
    peer.close(); // last, as the server would not find the connection
  };
  try {
    const parameters = Object.assign(sender.getParameters(), { degradationPreference: "maintain-resolution" });
    await sender.setParameters(parameters).catch(() => {}); // the size of the strokes depends on that of the frames
    await peer.setLocalDescription(); // the server needs no candidates of the browser: it answers the browser's checks
    const response = await fetch(`/whip?${new URLSearchParams(query)}`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/sdp" },
      body: peer.localDescription.sdp,
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    if (!response.ok) {
      const { error } = await response.json().catch(() => ({}));
      throw new Error(error ?? `The server answered with status ${response.status}.`);
    }
    address = response.headers.get("Location");
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
  } catch (error) {
    end();
    throw error;
  }
  const { transport } = receiver; // peer.connectionState takes half a minute to show that the server has ended the connection
  transport.addEventListener("statechange", () => {
    if (!isEnding && ["failed", "closed"].includes(transport.state)) onEnd();
  });
  return { session: address.split("/").at(-1), paintings: new MediaStream([receiver.track]), end };
}

/** A session by WebRTC: the camera's video to the server, and the paintings back, on one connection. For links that lose packets. */

/**
 * Open a session. camera: a MediaStream. token: null if the server has none. look: {style, strength, keep_colors}, each optional.
 * onEnd() is called if the connection ends by itself. Returns {session, paintings, end}: the session's ID, for /api/sessions/ID;
 * a MediaStream for a <video>; a function that ends the session. Throws an Error with the server's explanation.
 */
export async function openSession(camera, token, look, onEnd) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const peer = new RTCPeerConnection();
  const [track] = camera.getVideoTracks();
  const { receiver } = peer.addTransceiver(track, { direction: "sendrecv" });
  let address = null; // of the session

  const end = () => {
    peer.close();
    if (address) fetch(address, { method: "DELETE", headers, keepalive: true }).catch(() => {});
  };
  try {
    await peer.setLocalDescription(); // the server needs no candidates of the browser: it answers the browser's checks
    const response = await fetch(`/whip?${new URLSearchParams(look)}`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/sdp" },
      body: peer.localDescription.sdp,
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
    if (["failed", "closed"].includes(transport.state)) onEnd();
  });
  return { session: address.split("/").at(-1), paintings: new MediaStream([receiver.track]), end };
}

/** The browser's cameras: the list, opening one, and what to do when that fails. */

const ADVICE = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser’s site settings, then start again.",
  NotFoundError: "No camera was found. Connect one and start again, or paint a photo.",
  NotReadableError: "Another program uses the camera. Close that program and start again.",
  AbortError: "The camera did not start. Disconnect it, connect it and start again.",
};
const INSECURE =
  "Browsers open cameras on secure pages only. Open this page with https://, or as http://127.0.0.1 on the server’s computer.";

/** Whether this page can use cameras at all. */
export const hasCameras = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** The cameras as {id, label}. Before the permission, browsers name none of them. */
export async function cameras() {
  if (!hasCameras()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  const found = devices.filter(({ kind, deviceId }) => kind === "videoinput" && deviceId);
  return found.map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `Camera ${index + 1}` }));
}

/** Open a camera, or the default one if `id` is empty. Throws an Error that states what to do. */
export async function openCamera(id) {
  if (!hasCameras()) throw new Error(INSECURE);
  const camera = id ? { deviceId: { exact: id } } : { facingMode: "user" };
  const video = { ...camera, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  try {
    return await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    if (id && error.name === "OverconstrainedError") return openCamera(""); // the camera was disconnected
    throw new Error(ADVICE[error.name] ?? `The camera did not start: ${error.message || error.name}.`);
  }
}

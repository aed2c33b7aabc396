// The camera, as one more way to choose a photo.

import { button, h, icon, openDialog, say } from "./dom.js";

const WORDS = {
  NotAllowedError: "The browser may not use the camera. Allow it in the address bar, or choose a photo instead.",
  NotFoundError: "No camera was found. Choose a photo instead.",
  NotReadableError: "Another program uses the camera. Close it and try again.",
};

/** Open the camera; `onphoto` gets each photo that is taken. */
export function openCamera(onphoto) {
  let stream = null;
  let facing = "user";
  const video = h("video", { autoplay: true, playsinline: true, muted: true, "aria-label": "What the camera sees" });
  video.muted = true;
  const problem = h("p", { class: "bad", hidden: true });
  const shoot = button("Take photo", { glyph: "camera", kind: "primary", disabled: true, onclick: take });
  const turn = button("Other camera", { glyph: "redo", hidden: true, onclick: () => { facing = facing === "user" ? "environment" : "user"; start(); } });
  const dialog = openDialog("Camera", h("div", { class: "body camera" }, h("div", { class: "finder" }, video), problem, h("div", { class: "row end" }, turn, shoot)), { onclose: stop });

  async function start() {
    stop();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1920 } } });
      if (!dialog.isConnected) return void stop();
      video.srcObject = stream;
      await video.play();
      shoot.disabled = false;
      shoot.focus();
      const devices = await navigator.mediaDevices.enumerateDevices();
      turn.hidden = devices.filter((each) => each.kind === "videoinput").length < 2;
    } catch (error) {
      if (error.name === "AbortError") return;
      problem.hidden = false;
      problem.replaceChildren(icon("warn"), WORDS[error.name] ?? "The camera does not work here. Choose a photo instead.");
      say(problem.textContent, { alarm: true });
    }
  }

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
  }

  async function take() {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const photo = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    const time = new Date().toLocaleTimeString("en", { hour12: false }).replaceAll(":", ".");
    dialog.close();
    onphoto(new File([photo], `Camera ${time}.jpg`, { type: "image/jpeg" }));
  }

  start();
}

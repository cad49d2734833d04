// The link to a session, to copy or to read with a phone's camera.

import { token } from "./access.js";
import { copy, h } from "./element.js";
import { address } from "./sessions.js";
import { qrcode } from "./vendor/qrcode.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 2; // modules of margin; the white around makes up for the rest

/** Wires the share dialog; returns the function that opens it for a session. */
export function shareDialog() {
  const find = (id) => document.getElementById(id);
  const dialog = find("share-dialog");
  const [link, button, hint] = [find("share-link"), find("share-copy"), find("share-hint")];
  find("share-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  button.addEventListener("click", async () => {
    link.select();
    const done = (await copy(link.value)) || document.execCommand("copy"); // plain http has only the old way
    button.textContent = done ? "Copied" : "Press Ctrl+C";
  });

  return (id) => {
    const url = address(id);
    const here = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
    link.value = url.href;
    button.textContent = "Copy link";
    find("share-code").replaceChildren(code(url.href));
    hint.hidden = !here && !token;
    if (token) hint.replaceChildren("This server knows people by tokens, and yours isn't in the link. For somebody who has none, make one with ",
      h("code", {}, `cosession token NAME --session ${id} --role member`), " (or viewer) and add it: ", h("code", {}, "#token=…"));
    else hint.replaceChildren("This address works on this computer only. For other devices in your network, start the server with ",
      h("code", {}, "--host 0.0.0.0 --insecure"), " and open this page by the computer's address.");
    dialog.showModal();
  };
}

function code(text) {
  const qr = qrcode(0, "M");
  qr.addData(text);
  qr.make();
  const size = qr.getModuleCount();
  let path = "";
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column < size; column += 1) {
      if (qr.isDark(row, column)) path += `M${column + QUIET} ${row + QUIET}h1v1h-1z`;
    }
  }
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size + 2 * QUIET} ${size + 2 * QUIET}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the link");
  const drawn = document.createElementNS(SVG, "path");
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}

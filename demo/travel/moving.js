// Dragging something up and down a list, by mouse, finger or pen. The browser's own drag and drop knows no fingers.

import { mark } from "../chat/element.js";

const EDGE_PX = 56; // so near to its edge the list scrolls
const STEP_PX = 9; // in each frame

/**
 * Lets an element follow the pointer that has gripped it (`event`), until it is released, or Escape is pressed. The
 * result of `targetAt(y)` is marked meanwhile; `onDrop` gets the last one.
 */
export function drag(event, element, { scroller, targetAt, onDrop }) {
  if (event.button) return;
  const grip = event.currentTarget;
  const from = event.clientY + scroller.scrollTop;
  const over = new AbortController();
  const { signal } = over;
  let y = event.clientY;
  let target = null;

  const point = (next) => {
    if (next === target) return;
    if (target) mark(target, "target", null);
    target = next;
    if (target) mark(target, "target", "");
  };
  const end = () => {
    over.abort();
    mark(element, "moving", null);
    point(null);
  };
  const follow = () => {
    if (signal.aborted) return;
    if (!element.isConnected) return end(); // another participant deleted it
    const { top, bottom } = scroller.getBoundingClientRect();
    if (y < top + EDGE_PX) scroller.scrollTop -= STEP_PX;
    else if (y > bottom - EDGE_PX) scroller.scrollTop += STEP_PX;
    element.style.setProperty("--moved", `${y + scroller.scrollTop - from}px`);
    point(targetAt(y));
    requestAnimationFrame(follow);
  };

  grip.setPointerCapture(event.pointerId);
  mark(element, "moving", "");
  grip.addEventListener("pointermove", ({ clientY }) => (y = clientY), { signal });
  grip.addEventListener("pointerup", ({ clientY }) => {
    const last = targetAt(clientY);
    end();
    if (last) onDrop(last);
  }, { signal });
  grip.addEventListener("lostpointercapture", end, { signal });
  addEventListener("keydown", ({ key }) => key === "Escape" && end(), { signal });
  follow();
}

// The pictures on the buttons: paths in a square of 16.

import { svg } from "./dom.js";

const PATHS = {
  first: "M3,3v10M13,3L6,8L13,13Z",
  phaseBack: "M8,3L2,8L8,13ZM14,3L8,8L14,13Z",
  back: "M11,3L4,8L11,13Z",
  play: "M4,2.5L13,8L4,13.5Z",
  pause: "M4.5,3v10M11.5,3v10",
  on: "M5,3L12,8L5,13Z",
  phaseOn: "M8,3L14,8L8,13ZM2,3L8,8L2,13Z",
  last: "M13,3v10M3,3L10,8L3,13Z",
};

export function icon(name) {
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));
}

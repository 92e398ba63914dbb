// The keyboard. Everything a key does is a button too.

export const KEYS = [
  ["← →", "a step back, a step on"],
  ["[ ]", "the phase before, the next phase"],
  ["Space", "play, pause"],
  ["Home End", "the first, the last event"],
  ["PageUp PageDown", "ten steps back, ten on"],
  ["/", "find an event"],
  ["f", "the whole graph"],
  ["l", "colours of heat maps: linear, logarithmic"],
  ["q", "quiz: predict, then reveal"],
  ["d", "dark, light"],
  ["?", "this help"],
];

const TYPING = "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]";

/** actions: {key: function}; keys pressed while somebody types, or that a button wants, are left alone. */
export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const at = event.target;
    if (at.closest?.(TYPING) || document.querySelector("dialog[open]")) return;
    if (event.key === " " && at.closest?.("button, summary, a, [role=button], [role=tab], [role=gridcell], [type=checkbox]")) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

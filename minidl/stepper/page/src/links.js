// "#i=17&n=h2": a moment and a value in the address. Moves of one step replace the entry of the browser's history, jumps
// add one, so "back" goes back to where one came from.

const WAIT = 150; // ms: browsers refuse more than some hundred changes a minute

/** {i, n} of the address; null where it does not say. `i` is counted from 0, as events are. */
export function fromAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const i = said.get("i");
  return { i: i !== null && /^-?\d+$/.test(i) ? Number(i) : null, n: said.get("n") };
}

function hashOf({ i, n }) {
  return `#i=${i}${n ? `&n=${encodeURIComponent(n)}` : ""}`;
}

export class Address {
  constructor(onChange) {
    this.timer = null;
    const changed = () => {
      clearTimeout(this.timer);
      onChange(fromAddress());
    };
    addEventListener("popstate", changed);
    addEventListener("hashchange", changed);
  }

  /** Say the moment; `jump`: as an entry of its own. */
  say(moment, jump) {
    const hash = hashOf(moment);
    clearTimeout(this.timer);
    if (jump) this.write(hash, true);
    else this.timer = setTimeout(() => this.write(hash, false), WAIT);
  }

  write(hash, jump) {
    if (hash === location.hash) return;
    try {
      if (jump) history.pushState(null, "", hash);
      else history.replaceState(null, "", hash);
    } catch {
      // an iframe of a notebook has no address of its own: the page works without
    }
  }
}

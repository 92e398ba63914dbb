// Light or dark: as the system has it, until somebody chooses.

const KEY = "minidl stepper theme";

export function startTheme() {
  const said = remembered();
  if (said) document.documentElement.dataset.theme = said;
}

export function otherTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem(KEY, root.dataset.theme);
  } catch {
    // a page in a frame may not remember
  }
}

function remembered() {
  try {
    const said = localStorage.getItem(KEY);
    return said === "dark" || said === "light" ? said : null;
  } catch {
    return null;
  }
}

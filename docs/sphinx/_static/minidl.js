// What the theme leaves out for those who read without a mouse: levels of headings, names of landmarks, and blocks of
// code that scroll, which the keyboard must reach.
document.addEventListener("DOMContentLoaded", () => {
  for (const caption of document.querySelectorAll(".caption[role=heading]")) caption.setAttribute("aria-level", "2");
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Contents of the site");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "Contents of the page");
  for (const block of document.querySelectorAll("pre, .output, table.docutils")) {
    if (block.scrollWidth > block.clientWidth || block.tagName === "PRE") block.tabIndex = 0;
  }
});

// Loaded in the head, so that the page is not drawn in the wrong theme first.
(() => {
  const root = document.documentElement;
  const chosen = localStorage.getItem("theme");
  if (chosen) root.dataset.theme = chosen;
})();

// In the head and small, so that the page is never first drawn in the other theme.
(() => {
  const root = document.documentElement;
  const chosen = localStorage.getItem("theme");
  if (chosen) root.dataset.theme = chosen;
})();

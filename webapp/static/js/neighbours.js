// The result page leads to the next sound of the list that it was opened from. A list remembers the
// links of its rows when one of them is opened; only this tab knows them.

const STORED = "list";

document.addEventListener("click", ({ target }) => {
  if (!target.closest(".row a.what")) return;
  const pages = [...document.querySelectorAll(".row a.what")].map((link) => link.pathname);
  sessionStorage.setItem(STORED, JSON.stringify({ url: location.href, pages: [...new Set(pages)] }));
});

const showNeighbours = (nav) => {
  const { url, pages } = JSON.parse(sessionStorage.getItem(STORED) ?? "{}");
  const at = pages?.indexOf(location.pathname) ?? -1;
  if (at < 0) return;
  const link = (name, address) => {
    const found = nav.querySelector(`[data-${name}]`);
    if (address) found.href = address;
    else found.removeAttribute("href");
  };
  link("list", url);
  link("previous", pages[at - 1]);
  link("next", pages[at + 1]);
  nav.querySelector("[data-place]").textContent = `${at + 1} of ${pages.length}`;
  nav.hidden = false;
};

const neighbours = document.querySelector("[data-neighbours]");
if (neighbours) showNeighbours(neighbours);

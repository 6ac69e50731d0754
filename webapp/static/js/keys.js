// Keys of every page: ? shows them, j and k walk the rows, / goes to the filter. What a page has
// of its own (the result's player) it listens to itself; `_keys.html` is the table of all.

const keys = document.querySelector("[data-keys]");

const step = (by) => {
  const rows = [...document.querySelectorAll(".row a.what")];
  const here = rows.findIndex((row) => row.closest(".row").contains(document.activeElement));
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
  rows[next]?.focus({ focusVisible: true });
};

const filter = () => {
  const field = document.querySelector(".filters input[name=name]");
  field?.focus();
  field?.select();
  return field;
};

document.querySelector("[data-show-keys]").addEventListener("click", () => keys.showModal());
// A click beside it closes it.
keys.addEventListener("click", (event) => event.target === keys && keys.close());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "?") keys.open ? keys.close() : keys.showModal();
  else if (keys.open) return;
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key !== "/" || !filter()) return;
  event.preventDefault();
});

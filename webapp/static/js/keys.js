// Keyboard shortcuts of every page: ? lists them, j and k move through rows or to the next sound of a list, / focuses the filter.
// The result page handles its own keys in scope.js; `_keys.html` lists all shortcuts.

let keys = null; // the dialog, once it was opened

const showKeys = () => {
  if (!keys) {
    const template = document.querySelector("[data-keys]");
    keys = document.importNode(template.content, true).firstElementChild;
    template.after(keys);
    // A click outside the dialog closes it.
    keys.addEventListener("click", (event) => event.target === keys && keys.close());
  }
  keys.showModal();
};

const step = (by) => {
  const rows = [...document.querySelectorAll(":is(.row, .event) a.what")];
  if (!rows.length) document.querySelector(`[data-neighbours] ${by > 0 ? "[data-next]" : "[data-previous]"}[href]`)?.click();
  const at = (one) => rows.findIndex((row) => row.closest(".row, .event").contains(one));
  const here = at(document.activeElement) >= 0 ? at(document.activeElement) : at(document.querySelector(".event[aria-current]"));
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
  rows[next]?.focus({ focusVisible: true });
};

const filter = () => {
  const field = document.querySelector(".filters input[name=name], .event-filters select[name=label]");
  field?.focus();
  field?.select?.();
  return field;
};

document.querySelector("[data-show-keys]").addEventListener("click", showKeys);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || (usesKeys(event.target) && !keys?.open)) return;
  if (event.key === "?") keys?.open ? keys.close() : showKeys();
  else if (keys?.open) return;
  else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else if (event.key !== "/" || !filter()) return;
  event.preventDefault();
});

// The history page: play in the row, and the number of selected rows.

const list = document.querySelector(".history-rows");
const bulk = document.querySelector("#bulk");
const player = document.querySelector("[data-history-player]");
document.body.classList.add("history-page");

// --- playing: one player for all rows, which loads a sound when it is played ----------------

let playing = "";
const show = () => {
  for (const button of list.querySelectorAll("[data-play]")) {
    const mine = button.dataset.play === playing;
    button.setAttribute("aria-pressed", mine && !player.paused);
    button.closest(".row").querySelector(".strip").toggleAttribute("data-playing", mine && !player.ended);
  }
};

// Moves the line over the strip of the sound that plays.
const follow = () => {
  const strip = list.querySelector(".strip[data-playing]");
  if (player.duration > 0) strip?.style.setProperty("--played", `${(100 * player.currentTime) / player.duration}%`);
  if (!player.paused) requestAnimationFrame(follow);
};

const seek = (strip, event) => {
  const place = strip.getBoundingClientRect();
  const share = (event.clientX - place.left) / place.width;
  if (Number.isFinite(player.duration)) player.currentTime = Math.max(0, Math.min(1, share)) * player.duration;
  follow();
};

const play = async (url) => {
  if (playing === url && !player.paused) return player.pause();
  if (playing !== url) player.src = playing = url;
  try {
    await player.play();
  } catch (error) {
    // The next row was played before this one had loaded, or the sound cannot be loaded.
    if (!(error instanceof DOMException)) throw error;
  }
};

// --- selecting --------------------------------------------------------------------------------

const ticks = () => [...list.querySelectorAll("input[name=analysis]")];
const chosen = new Set();

const count = () => {
  const all = bulk.elements.all.checked;
  bulk.toggleAttribute("data-none", !all && !chosen.size);
  bulk.querySelector("[data-selected]").textContent = all || !chosen.size ? "" : `${chosen.size} selected`;
  const page = bulk.querySelector("[data-select-page]");
  page.checked = all || (chosen.size > 0 && chosen.size === ticks().length);
  page.indeterminate = !page.checked && chosen.size > 0;
  for (const tick of ticks()) {
    tick.checked = all || chosen.has(tick.value);
    tick.disabled = all;
  }
  page.disabled = all;
};

const choose = (tick, on) => (on ? chosen.add(tick.value) : chosen.delete(tick.value));

if (list) {
  for (const tick of ticks()) choose(tick, tick.checked); // the browser keeps ticks when it goes back
  count();
  list.addEventListener("change", (event) => {
    if (!event.target.matches("input[name=analysis]")) return;
    choose(event.target, event.target.checked);
    count();
  });
  bulk.addEventListener("change", (event) => {
    if (event.target.matches("[data-select-page]")) for (const tick of ticks()) choose(tick, event.target.checked);
    if (event.target.matches("[data-select-page], [name=all]")) count();
  });
  // Enter on a tick would press the first button of the form.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.form === bulk && event.target.matches("[type=checkbox]")) event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const button = event.target.closest("[data-play]");
    if (button) play(button.dataset.play);
    const strip = event.target.closest(".strip[data-playing]");
    if (strip) seek(strip, event);
  });
  for (const type of ["play", "pause", "ended"]) player.addEventListener(type, show);
  player.addEventListener("play", follow);
  // Rows are replaced while analyses run.
  new MutationObserver(() => {
    const here = new Set(ticks().map((tick) => tick.value));
    for (const value of chosen) if (!here.has(value)) chosen.delete(value);
    count();
    show();
  }).observe(list, { childList: true });

  // On a row: Space plays it, x selects it.
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches(".history-rows a.what")) return;
    const row = event.target.closest(".row");
    if (event.key === " ") row.querySelector("[data-play]")?.click();
    else if (event.key === "x") row.querySelector("input[name=analysis]").click();
    else return;
    event.preventDefault();
  });
}

// Leave fields without a value out of the address.
const filters = document.querySelector(".history-filters");
const setEmpty = (off) => {
  for (const field of filters.elements) if (field.name && !field.value) field.disabled = off;
};
filters?.addEventListener("submit", () => {
  setEmpty(true);
  setTimeout(setEmpty, 0, false);
});

// A click outside closes an open menu.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// The events of a recording: one lane per sound under the spectrogram, and the rows of the table.

const BAR_PX = 14;
const BAR_MARGIN_PX = 5;
const MIN_BAR_PX = 3;
// A click this near to a short event means the event.
const NEAR_PX = 5;
// Colours of the bars, from the palette of the spectrogram, for confidence 0 and 1.
const LANE_COLOURS = [90, 215];

class Lanes {
  constructor(scope, timeline, player) {
    this.scope = scope;
    this.find = timeline.find;
    this.timeline = timeline;
    this.player = player;
    this.box = this.find("lanes");
    this.canvas = this.box.querySelector("canvas");
    this.names = [...this.find("lane-names").children];
    this.words = this.find("event-words");
    this.open = this.find("event-open");
    this.lanes = [];
    this.chosen = Number(scope.dataset.event) || null;
  }

  async load() {
    const response = await fetch(this.scope.dataset.lanesUrl).catch(() => null);
    if (!response?.ok) {
      this.words.textContent = "The lanes could not be loaded. Reload the page to try again.";
      return;
    }
    const { lanes } = await response.json();
    this.lanes = lanes.map(({ name, events }) => ({
      name,
      events: events.map(([id, from, to, confidence]) => ({ id, from, to, confidence, name })),
    }));
    const chosen = this.lanes.flatMap(({ events }) => events).find(({ id }) => id === this.chosen);
    if (chosen) this.describe(chosen);
    this.draw();
  }

  get lanePx() {
    return this.names[0].offsetHeight;
  }

  get shown() {
    return this.names.filter((name) => !name.hidden).length;
  }

  toggle(button) {
    const all = button.getAttribute("aria-expanded") !== "true";
    const most = Number(this.find("lane-names").dataset.shown);
    this.names.forEach((name, at) => (name.hidden = !all && at >= most));
    button.setAttribute("aria-expanded", all);
    button.textContent = all ? "Show fewer lanes" : `Show all ${this.names.length} lanes`;
    this.draw();
  }

  // Marks the lane of the label that the table is filtered by.
  mark() {
    const label = document.querySelector(".event-filters [name=label]")?.value;
    for (const name of this.names) name.firstElementChild.ariaCurrent = label && name.dataset.label === label ? "true" : null;
  }

  // Lists only the sounds of a lane in the table, or all again.
  filter(label) {
    const field = document.querySelector(".event-filters [name=label]");
    field.value = field.value === label ? "" : label;
    field.form.requestSubmit();
  }

  draw() {
    this.box.style.height = `${this.lanePx * this.shown}px`;
    const ratio = this.timeline.fit(this.canvas);
    const context = this.canvas.getContext("2d");
    const [from, to] = this.timeline.visible();
    const perSecond = this.canvas.width / (to - from);
    const [height, bar, margin] = [this.lanePx, BAR_PX, BAR_MARGIN_PX].map((px) => px * ratio);
    const line = getComputedStyle(this.scope).getPropertyValue("--scope-line");
    this.lanes.slice(0, this.shown).forEach(({ events }, lane) => {
      context.fillStyle = line;
      context.fillRect(0, Math.round((lane + 1) * height - margin - bar / 2), this.canvas.width, ratio);
      for (const event of events) {
        if (event.to < from || event.from > to) continue;
        const x = (event.from - from) * perSecond;
        const width = Math.max(MIN_BAR_PX * ratio, (event.to - event.from) * perSecond);
        const y = (lane + 1) * height - margin - bar;
        context.fillStyle = colourOf(event.confidence);
        context.fillRect(x, y, width, bar);
        if (event.id !== this.chosen) continue;
        context.strokeStyle = "#fff";
        context.lineWidth = 2 * ratio;
        context.strokeRect(x, y, width, bar);
      }
    });
  }

  // The event under the pointer, or null.
  at({ clientX, clientY }) {
    const box = this.box.getBoundingClientRect();
    const perSecond = box.width / this.timeline.duration;
    const time = (clientX - box.left) / perSecond;
    const lane = this.lanes[Math.floor((clientY - box.top) / this.lanePx)];
    const distance = ({ from, to }) => Math.max(from - time, time - Math.max(to, from + MIN_BAR_PX / perSecond), 0);
    const near = (lane?.events ?? []).filter((event) => distance(event) * perSecond <= NEAR_PX);
    return near.sort((one, other) => distance(one) - distance(other))[0] ?? null;
  }

  point(event) {
    const found = this.at(event);
    this.box.style.cursor = found ? "pointer" : "";
    if (found) this.describe(found);
  }

  describe({ id, name, from, to, confidence }) {
    this.words.textContent = `${name}, ${clockText(from, 1)}–${clockText(to, 1)}, ${percentText(confidence)}`;
    const query = new URLSearchParams(location.search);
    for (const [key, value] of [...query]) if (!value || key === "window") query.delete(key);
    query.set("event", id);
    this.open.href = `?${query}`;
    this.open.hidden = false;
  }

  // Plays the event that was clicked, or from the time of the click.
  press(event) {
    const found = this.at(event);
    if (found) {
      this.chosen = found.id;
      this.describe(found);
      this.draw();
    }
    this.player.playFrom(found?.from ?? this.timeline.timeAt(event));
  }
}

// The table of events. htmx replaces it, so nothing here keeps its elements.
class EventRows {
  // asked: the id of the event that the address asks for, or undefined.
  constructor(player, asked) {
    this.player = player;
    this.asked = asked;
    this.prepare();
  }

  get rows() {
    return [...document.querySelectorAll(".event")];
  }

  // Only one row is a tab stop; the arrow keys move through the others.
  prepare() {
    const { rows } = this;
    const current = rows.find((row) => row.ariaCurrent) ?? rows[0];
    for (const row of rows) for (const stop of row.querySelectorAll("a, button")) stop.tabIndex = -1;
    if (current) {
      current.querySelector("a.what").tabIndex = 0;
      const scroll = current.closest(".event-scroll");
      scroll.scrollTop = current.dataset.event === this.asked ? current.offsetTop - scroll.clientHeight / 2 : 0;
    }
    if (this.entering) this.focus(rows[0]);
    this.entering = false;
    this.playing = null;
  }

  focus(row, options = { focusVisible: true }) {
    if (!row) return;
    for (const each of this.rows) each.querySelector("a.what").tabIndex = each === row ? 0 : -1;
    row.querySelector("a.what").focus(options);
  }

  // htmx has replaced the table. If the focused link is gone, the first row gets the focus.
  replaced() {
    this.prepare();
    if (document.activeElement === document.body) this.focus(this.rows[0], {});
    document.querySelector("[data-announce]").textContent = document.getElementById("events-title").textContent;
  }

  key(event) {
    const filter = event.target.closest(".event-filters select");
    if (filter && event.key === "Enter") {
      event.preventDefault();
      this.entering = true;
      filter.form.requestSubmit();
      return;
    }
    const row = event.target.closest(".event");
    if (!row) return;
    const { rows } = this;
    const at = rows.indexOf(row);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to !== undefined) this.focus(rows[to]);
    else if (event.key === " ") this.play(row);
    else return;
    event.preventDefault();
  }

  play(row) {
    const same = row.classList.contains("playing");
    if (same) this.player.pause();
    else this.player.playSpan(Number(row.dataset.from), Number(row.dataset.to));
  }

  // Marks the row of the event that plays on request.
  sweep() {
    const span = this.player.playing ? this.player.span : null;
    if (span === this.playing) return;
    this.playing = span;
    for (const row of this.rows) {
      const on = span !== null && Number(row.dataset.from) === span[0] && Number(row.dataset.to) === span[1];
      row.classList.toggle("playing", on);
      row.querySelector("[data-play-event]").ariaPressed = on;
    }
  }
}

function colourOf(confidence) {
  const [low, high] = LANE_COLOURS;
  return `rgb(${PALETTE[Math.round(low + confidence * (high - low))]})`;
}

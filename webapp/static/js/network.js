// Inside the network: each cell of a map has a patch of the spectrogram, which is shown when the
// cell is pointed at or focused, and played when it is pressed.

class NetworkView {
  // window: { from, to } in seconds of the clip. player: see player.js.
  constructor(scope, timeline, player, window) {
    this.scope = scope;
    this.find = timeline.find;
    this.timeline = timeline;
    this.player = player;
    this.window = window;
    this.frames = Number(scope.dataset.frames);
    this.bands = scope.dataset.bands.split(" ").map(Number);
    this.hop = (window.to - window.from) / (this.frames - 1);
    this.tip = document.createElement("div");
    this.tip.className = "tip number";
    this.tip.hidden = true;
    document.querySelector("main").append(this.tip);
  }

  destroy() {
    this.tip.remove();
  }

  // --- cells and patches ----------------------------------------------------------------------

  stride(height) {
    return 2 ** Math.round(Math.log2(this.bands.length / height));
  }

  // The patch of the spectrogram on which a cell of a map is centred, in seconds and bands.
  patchOf({ row, column, height }) {
    const step = this.stride(height);
    const clamp = (value, most) => Math.max(0, Math.min(most, value));
    const frame = step * column;
    const band = step * (height - 1 - row) + 0.5;
    const [bottom, top] = [clamp(band - step / 2, this.bands.length), clamp(band + step / 2, this.bands.length)];
    const last = this.window.to - this.window.from;
    return {
      from: this.window.from + clamp((frame - step / 2) * this.hop, last),
      to: this.window.from + clamp((frame + step / 2) * this.hop, last),
      bottom,
      top,
      low: this.bands[Math.floor(bottom)],
      high: this.bands[Math.ceil(top) - 1],
    };
  }

  showPatch(patch) {
    const { from, to } = this.window;
    const box = this.scope.querySelector(".picture [data-patch]");
    this.timeline.place(box, patch.from, patch.to);
    const small = document.querySelector("[data-input] [data-patch]");
    if (small) {
      small.style.left = `${(100 * (patch.from - from)) / (to - from)}%`;
      small.style.width = `${(100 * (patch.to - patch.from)) / (to - from)}%`;
    }
    for (const each of [box, small].filter(Boolean)) {
      each.style.top = `${100 - (100 * patch.top) / this.bands.length}%`;
      each.style.height = `${(100 * (patch.top - patch.bottom)) / this.bands.length}%`;
      each.hidden = false;
    }
  }

  words(cell, patch) {
    const value = cell.value === null ? "" : `activation ${minus(cell.value.toFixed(2))}\n`;
    return `${value}${this.timeline.text(patch.from).replace(" s", "")} to ${this.timeline.text(patch.to)}\n${hertz(patch.low)} to ${hertz(patch.high)}`;
  }

  hide() {
    this.tip.hidden = true;
    for (const patch of document.querySelectorAll("[data-patch]")) patch.hidden = true;
  }

  showTip(words, left, top) {
    this.tip.textContent = words;
    this.tip.hidden = !words;
    this.tip.style.left = `${Math.max(8, Math.min(left + 12, innerWidth - this.tip.offsetWidth - 8))}px`;
    this.tip.style.top = `${Math.min(top + 16, innerHeight - this.tip.offsetHeight - 8)}px`;
  }

  // --- pointer and keys -----------------------------------------------------------------------

  // Shows what is under the pointer. readable: the picture that the scope shows.
  point(event, readable) {
    this.pointer = event;
    const target = event.target?.closest?.("[data-picture]") ? readable : event.target?.closest?.("[data-map], [data-lane], [data-grid]");
    const picture = target?.matches("[data-grid], [data-shade]") ? target : target?.querySelector("[data-grid]");
    this.hide();
    if (!picture || event.pointerType === "touch") return;
    const box = picture.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    const cell = cellAt(picture, x, y);
    if (!cell) return;
    if (target === readable) this.find("readout").textContent = this.reading(picture, cell, x);
    else if (picture.dataset.channels) {
      this.showTip(`channel ${cell.row * cell.width + cell.column}\nactivation ${minus((cell.value ?? 0).toFixed(2))}`, event.clientX, event.clientY);
    } else {
      const patch = this.patchOf(cell);
      this.showPatch(patch);
      this.showTip(this.words(cell, patch), event.clientX, event.clientY);
    }
  }

  // What is under the pointer changes when the page scrolls.
  scrolled(readable) {
    if (!this.pointer || this.pointer.pointerType === "touch") return;
    const { clientX, clientY, pointerType } = this.pointer;
    const event = { clientX, clientY, pointerType, target: document.elementFromPoint(clientX, clientY) };
    this.point(event, readable(event));
  }

  // The cell of the spectrogram as text.
  reading(picture, { row, height, value }, x) {
    const { from, to } = picture.dataset;
    const second = Number(from) + x * (Number(to) - Number(from));
    const band = Math.floor((1 - (row + 0.5) / height) * this.bands.length);
    const level = value === null ? "" : `${minus(value.toFixed(0))} dB`;
    return [this.timeline.text(second), hertz(this.bands[band]), level].join("  ");
  }

  // Plays the patch of the cell that was pressed.
  press(event, frame) {
    const picture = frame.querySelector("[data-grid]");
    const box = picture.getBoundingClientRect();
    const byKey = event.detail === 0;
    const cell = byKey ? this.cursor(picture) : cellAt(picture, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    if (!cell) return;
    this.showPatch(this.patchOf(cell));
    this.player.playPatch(this.patchOf(cell));
  }

  // The focused map's cell: the middle one, until the arrow keys move it.
  cursor(picture, moved = [0, 0]) {
    const cell = cellAt(picture, 0.5, 0.5);
    if (!cell) return null;
    const [column, row] = picture.cursor ?? [cell.column, cell.row];
    picture.cursor = [Math.max(0, Math.min(cell.width - 1, column + moved[0])), Math.max(0, Math.min(cell.height - 1, row + moved[1]))];
    return cellAt(picture, (picture.cursor[0] + 0.5) / cell.width, (picture.cursor[1] + 0.5) / cell.height);
  }

  // Shows the cell of the focused map; `moved` in columns and rows.
  focus(frame, moved) {
    const picture = frame.querySelector("[data-grid]");
    const cell = this.cursor(picture, moved);
    if (!cell) return;
    const patch = this.patchOf(cell);
    const box = picture.getBoundingClientRect();
    this.hide();
    this.pointer = null;
    this.showPatch(patch);
    this.showTip(this.words(cell, patch), box.left + ((cell.column + 1) * box.width) / cell.width, box.top + ((cell.row + 1) * box.height) / cell.height);
  }

  // The playhead of every map that is open.
  sweep(time) {
    const frame = (time - this.window.from) / this.hop;
    for (const each of document.querySelectorAll(".station [data-map], [data-timed], .stage[open] [data-map]")) {
      const picture = each.querySelector("[data-grid]");
      const step = picture ? this.stride(picture.naturalHeight || picture.height) : 1;
      const columns = picture ? picture.naturalWidth || picture.width : this.frames;
      const place = (frame + step / 2) / (columns * step);
      each.style.setProperty("--at", place >= 0 && place <= 1 ? place : -1);
    }
  }

  // --- the lane under the spectrogram ---------------------------------------------------------

  // facts: low, high and the number of channels averaged. tile: left, top, width, height in a sheet.
  enlarge(image, title, facts, tile) {
    const canvas = this.scope.querySelector("[data-lane] canvas");
    copyOnto(canvas, image, tile);
    for (const name of ["low", "high"]) canvas.dataset[name] = facts[name];
    // A cell is centred on its frame, so the first one begins before the window.
    const half = (this.stride(canvas.height) / 2) * this.hop;
    this.timeline.place(canvas, this.window.from - half, this.window.from - half + 2 * half * canvas.width);
    this.find("lane").hidden = false;
    this.find("lane-caption").hidden = false;
    this.find("lane-title").textContent = title;
    const of = Number(facts.of) > 1 ? `mean of ${facts.of} channels · ` : "";
    this.find("lane-facts").textContent = `${of}${canvas.height}×${canvas.width} cells · activation ${Number(facts.low).toFixed(2)} to ${Number(facts.high).toFixed(2)}`;
    const png = this.find("lane-png");
    png.hidden = Boolean(tile);
    png.href = image.src;
    png.download = `${title.replace(/[^\w.]+/g, "-")}.png`;
    this.sweep(this.player.time);
  }

  enlargeTile(sheet, place) {
    const { columns, shape: [, height, width], channels } = JSON.parse(sheet.dataset.figures);
    const facts = channels[place];
    if (!facts) return;
    const tile = [(place % columns) * width, Math.floor(place / columns) * height, width, height];
    this.enlarge(sheet, `${sheet.dataset.title}, channel ${facts.number}`, facts, tile);
  }

  enlargeTileAt(sheet, event) {
    const box = sheet.getBoundingClientRect();
    const { columns, shape } = JSON.parse(sheet.dataset.figures);
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * Math.ceil(shape[0] / columns));
    this.enlargeTile(sheet, row * columns + column);
  }

  closeLane() {
    for (const name of ["lane", "lane-caption", "lane-back"]) this.find(name).hidden = true;
  }

  toggleStage(details) {
    const open = !details.open;
    for (const other of document.querySelectorAll("details.stage")) other.open = open && other === details;
    for (const button of document.querySelectorAll("[data-open]")) {
      button.setAttribute("aria-expanded", document.getElementById(button.dataset.open).open);
    }
    this.sweep(this.player.time);
  }
}

function inView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

function scrollToElement(element, block) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.scrollIntoView({ block, behavior: still ? "instant" : "smooth" });
}

// Makes a change that opens or closes parts of the page, and keeps an element where it is on the
// screen. If the page became too short to scroll there, room is added at its end.
function keepInPlace(element, change) {
  const main = document.querySelector("main");
  const before = element.getBoundingClientRect().top;
  change();
  main.style.removeProperty("padding-bottom");
  const moved = () => element.getBoundingClientRect().top - before;
  scrollBy({ top: moved(), behavior: "instant" });
  const missing = moved();
  if (missing <= 0) return;
  main.style.paddingBottom = `${parseFloat(getComputedStyle(main).paddingBottom) + missing}px`;
  scrollBy({ top: moved(), behavior: "instant" });
}

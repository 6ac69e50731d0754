// Tiles: parts of a recording's spectrogram with narrower columns, which a worker draws when the
// zoom makes the columns of the whole picture wider than a pixel or two.

const MAX_COLUMN_PX = 1.5;
const MAX_TILES_IN_VIEW = 8;
const MAX_TILES_KEPT = 24;
const SETTLE_MS = 200;
const TILE_POLL_MS = 250;

class Tiles {
  // levels: from the server, the coarsest first. changed(): called when a tile was added or removed.
  constructor(scope, timeline, { wave, changed }) {
    this.scope = scope;
    this.timeline = timeline;
    this.picture = scope.querySelector("[data-picture]");
    this.spectrogram = scope.querySelector(".spectrogram");
    this.status = scope.querySelector("[data-sharpness]");
    this.levels = JSON.parse(scope.dataset.levels);
    this.frames = Number(scope.dataset.allFrames);
    this.events = { wave, changed };
    this.known = new Map(); // "level/number" → { state, image, from, to }
    this.closed = new AbortController();
  }

  destroy() {
    this.closed.abort();
    clearTimeout(this.settling);
  }

  // The view has changed.
  update() {
    clearTimeout(this.settling);
    this.show();
    this.settling = setTimeout(() => this.ask(), SETTLE_MS);
  }

  // The tiles that the view needs: the coarsest level with narrow enough columns, unless that takes
  // too many tiles.
  wanted() {
    const [from, to] = this.timeline.visible();
    const framePx = (this.timeline.width * devicePixelRatio) / this.frames;
    if ((this.frames / this.spectrogram.naturalWidth) * framePx <= MAX_COLUMN_PX) return [];
    const frameAt = (time) => (time / this.timeline.duration) * this.frames;
    const numbers = ({ frames }) => {
      const [first, last] = [frameAt(from), Math.min(frameAt(to), this.frames - 1)].map((frame) => Math.floor(frame / frames));
      return Array.from({ length: last - first + 1 }, (_, at) => first + at);
    };
    const possible = this.levels.filter((level) => numbers(level).length <= MAX_TILES_IN_VIEW);
    const level = possible.find(({ step }) => step * framePx <= MAX_COLUMN_PX) ?? possible.at(-1);
    return level ? numbers(level).map((number) => ({ level, number, key: `${level.name}/${number}` })) : [];
  }

  ask() {
    for (const tile of this.wanted()) {
      if (!this.known.has(tile.key)) this.load(tile);
    }
    this.report();
  }

  async load({ level, number, key }) {
    const first = number * level.frames;
    const place = (frame) => (Math.min(frame, this.frames) / this.frames) * this.timeline.duration;
    const tile = { state: "waiting", step: level.step, from: place(first), to: place(first + level.frames) };
    this.known.set(key, tile);
    try {
      const { tile: picture, peaks } = await this.request(level.name, number);
      const response = await fetch(peaks, { signal: this.closed.signal });
      tile.image = this.element(picture, tile);
      await tile.image.decode();
      tile.state = "done";
      this.events.wave({ from: tile.from, to: tile.to, peaks: await response.json() });
    } catch (error) {
      if (this.closed.signal.aborted) return;
      tile.state = "failed";
      console.info(`tile ${key}: ${error.message}`);
    }
    this.forget();
    this.show();
    this.report();
  }

  // Requests a tile and waits for it. Returns the addresses of its files.
  async request(map, window) {
    const { signal } = this.closed;
    const body = new FormData();
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    for (const [name, value] of Object.entries({ kind: "tile", map, window, csrfmiddlewaretoken: token })) body.set(name, value);
    let response = await fetch(this.scope.dataset.ask, { method: "POST", body, signal });
    for (;;) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const section = page.querySelector("[data-inspection]");
      if (!section || section.dataset.state === "failed") throw new Error(page.body.textContent.trim() || `status ${response.status}`);
      if (section.dataset.state === "done") return section.dataset;
      await new Promise((resolve) => setTimeout(resolve, TILE_POLL_MS));
      const address = section.getAttribute("hx-get").split("?")[0];
      response = await fetch(address, { signal });
    }
  }

  element(address, { from, to, step }) {
    const image = new Image();
    image.className = "tile";
    image.alt = "";
    image.draggable = false;
    image.src = address;
    image.style.zIndex = step === 1 ? 2 : 1;
    Object.assign(image.dataset, { grid: "", from, to, low: this.spectrogram.dataset.low, high: this.spectrogram.dataset.high, unit: "dB" });
    this.timeline.place(image, from, to);
    return image;
  }

  // Shows the finished tiles in the view, and removes others from the page.
  show() {
    const [from, to] = this.timeline.visible();
    const coarse = this.wanted().length === 0;
    let changed = false;
    for (const { state, image, from: start, to: end } of this.known.values()) {
      if (state !== "done") continue;
      const shown = !coarse && start < to && end > from;
      if (shown === image.isConnected) continue;
      if (shown) this.spectrogram.after(image);
      else image.remove();
      changed = true;
    }
    if (changed) this.events.changed();
  }

  // Forgets the tiles that were loaded first, except those on the page.
  forget() {
    for (const [key, { state, image }] of this.known) {
      if (this.known.size <= MAX_TILES_KEPT) return;
      if (state === "done" && !image.isConnected) this.known.delete(key);
    }
  }

  report() {
    const states = this.wanted().map(({ key }) => this.known.get(key)?.state);
    this.scope.dataset.sharp = states.every((state) => state === "done");
    this.status.textContent = states.includes("waiting") ? "Drawing in more detail…" : states.includes("failed") ? "More detail could not be drawn." : "";
  }

  // The pictures of a part of the clip, the finest first.
  pictures() {
    const shown = [...this.picture.querySelectorAll(".tile")].sort((one, other) => other.style.zIndex - one.style.zIndex);
    return [...shown, this.spectrogram];
  }
}

// The scope of a result page: waveform, spectrogram, attribution and maps on one time axis with one
// playhead.

const SEEK_SHARE = 1 / 50;
const SHORTEST_LOOP_S = 0.02;
const MAX_PX = 30000;
const DRAG_PX = 4;

class SonoScope extends HTMLElement {
  async connectedCallback() {
    this.find = (name) => this.querySelector(`[data-${name}]`);
    this.duration = Number(this.dataset.duration);
    this.bands = this.dataset.bands ? this.dataset.bands.split(" ").map(Number) : [];
    this.zoom = 1;
    this.loop = null;
    this.chosen = 0;
    this.quiet = new AbortController();
    this.sources = { original: this.source(this.dataset.audio, 0) };
    this.use("original");
    this.listen();
    const response = await fetch(this.dataset.peaks).catch(() => null);
    if (!response?.ok) return this.say("The waveform could not be loaded. Reload the page to try again.");
    if (!this.isConnected) return;
    const flat = await response.json();
    this.wave = WaveSurfer.create({
      container: this.find("wave"),
      cspNonce: document.querySelector("meta[name=style-nonce]").content,
      height: this.find("wave").clientHeight,
      waveColor: getComputedStyle(this).getPropertyValue("--scope-ink"),
      cursorWidth: 0,
      interact: false,
      normalize: true,
      peaks: [flat.filter((_, index) => index % 2), flat.filter((_, index) => !(index % 2))],
      duration: this.duration,
    });
  }

  disconnectedCallback() {
    this.quiet.abort();
    for (const { media } of Object.values(this.sources)) media.pause();
    cancelAnimationFrame(this.frame);
    this.wave?.destroy();
  }

  on(target, type, react) {
    target.addEventListener(type, react, { signal: this.quiet.signal });
  }

  listen() {
    const play = this.find("play");
    this.on(play, "click", () => this.playPause());
    this.on(this.find("loop"), "click", () => this.setLoop(this.loop ? null : this.visible()));
    for (const button of this.querySelectorAll("[data-zoom]")) {
      this.on(button, "click", () => this.setZoom(button.dataset.zoom === "in" ? this.zoom * 2 : this.zoom / 2));
    }
    this.on(this.find("travel"), "wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.setZoom(event.deltaY < 0 ? this.zoom * 2 : this.zoom / 2, this.timeAt(event));
    });
    this.on(this.find("course"), "pointerdown", (event) => this.press(event));
    this.on(document, "keydown", (event) => this.key(event));
    this.on(document, "click", (event) => this.clicked(event));
    this.on(document, "pointermove", (event) => this.point(event));
    const opacity = document.querySelector("[data-opacity]");
    if (opacity) this.on(opacity, "input", () => this.show(this.chosen));
    this.on(document, "change", (event) => {
      if (!event.target.matches("[data-sheet-channel]")) return;
      const sheet = event.target.closest(".inspection").querySelector("img[data-sheet]");
      const { channels } = JSON.parse(sheet.dataset.figures);
      this.showTile(sheet, channels.findIndex(({ number }) => number === event.target.valueAsNumber));
    });
    for (const button of this.querySelectorAll("[data-source]")) {
      this.on(button, "click", () => this.use(button.dataset.source));
    }
    this.on(this.find("sources"), "keydown", (event) => this.walkSources(event));
    // When htmx shows a finished inspection, show its attribution and add its sounds to the sources.
    this.on(document, "htmx:after:swap", () => this.show(this.chosen));
    for (const type of ["htmx:error", "htmx:response:error"]) this.on(document, type, (event) => this.refused(event));
    this.on(window, "resize", () => this.drawTimeAxis());
    this.drawTimeAxis();
    this.show(Number(document.querySelector("[data-first]").dataset.explain));
  }

  // --- sound ------------------------------------------------------------------------------

  // offset: start of the sound on the time axis, in seconds.
  source(url, offset) {
    const media = new Audio();
    media.preload = "none";
    for (const type of ["play", "pause", "ended"]) this.on(media, type, () => this.playing(media));
    for (const type of ["timeupdate", "seeked", "seeking"]) this.on(media, type, () => this.tick(media));
    this.on(media, "loadedmetadata", () => (this.find("play").disabled = false));
    this.on(media, "error", () => this.say("This browser cannot play the file. Try another browser."));
    media.src = url;
    return { media, offset };
  }

  use(name) {
    const next = this.sources[name];
    const last = this.current;
    if (!next || next === last) return;
    this.current = next;
    this.name = name;
    next.media.preload = "auto";
    for (const button of this.querySelectorAll("[data-source]")) {
      const on = button.dataset.source === name;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
    if (!last) return;
    const time = last.media.currentTime + last.offset;
    const playing = !last.media.paused;
    last.media.pause();
    this.seek(time);
    if (playing) this.start(next.media);
  }

  walkSources(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const names = Object.keys(this.sources);
    this.use(names[(names.indexOf(this.name) + step + names.length) % names.length]);
    this.querySelector(`[data-source="${this.name}"]`).focus();
  }

  // Uses the sounds of the selected attribution if its inspection is finished.
  adopt() {
    const done = document.querySelector(`[data-hear="${this.chosen}"] [data-kept]`);
    const url = done?.dataset.kept;
    if (url === this.adopted) return;
    this.adopted = url;
    if (this.name !== "original") this.use("original");
    for (const name of ["kept", "rest"]) {
      this.sources[name]?.media.removeAttribute("src");
      delete this.sources[name];
    }
    if (done) {
      const offset = Number(this.dataset.from);
      this.sources.kept = this.source(done.dataset.kept, offset);
      this.sources.rest = this.source(done.dataset.rest, offset);
    }
    this.find("sources").hidden = !done;
  }

  playPause() {
    const { media } = this.current;
    if (!media.paused) return media.pause();
    if (media.ended || (this.loop && (this.time < this.loop[0] || this.time >= this.loop[1]))) this.seek(this.loop ? this.loop[0] : 0);
    this.start(media);
  }

  // AbortError only means that playback was paused before it started.
  start(media) {
    media.play().catch((error) => {
      if (error.name !== "AbortError") this.say("This browser cannot play the file. Try another browser.");
    });
  }

  playing(media) {
    if (media !== this.current.media) return;
    const on = !media.paused && !media.ended;
    const play = this.find("play");
    play.classList.toggle("playing", on);
    play.setAttribute("aria-label", on ? "Pause" : "Play");
    cancelAnimationFrame(this.frame);
    const follow = () => {
      this.tick(media);
      if (!media.paused) this.frame = requestAnimationFrame(follow);
    };
    if (on) follow();
    else if (media.ended && this.loop) this.playPause();
  }

  get time() {
    return Math.min(this.duration, this.current.media.currentTime + this.current.offset);
  }

  seek(time) {
    const { media, offset } = this.current;
    const last = media.duration || this.duration;
    const within = Math.max(0, Math.min(last, time - offset));
    if (media.readyState >= HTMLMediaElement.HAVE_METADATA) media.currentTime = within;
    else media.addEventListener("loadedmetadata", () => (media.currentTime = within), { once: true });
  }

  tick(media) {
    if (media !== this.current.media) return;
    const time = this.time;
    if (this.loop && !media.paused && time >= this.loop[1]) this.seek(this.loop[0]);
    this.find("playhead").style.left = `${(100 * time) / this.duration}%`;
    this.find("clock").textContent = `${time.toFixed(2)} s`;
    if (this.zoom > 1 && !media.paused) this.follow(time);
  }

  say(words) {
    this.find("clock").textContent = words;
  }

  // --- loop -------------------------------------------------------------------------------

  setLoop(range) {
    this.loop = range && range[1] - range[0] >= SHORTEST_LOOP_S ? range : null;
    const shown = this.find("loop-range");
    shown.hidden = !this.loop;
    this.find("loop").setAttribute("aria-pressed", Boolean(this.loop));
    this.find("loop").textContent = this.loop ? `Loop ${this.loop[0].toFixed(2)}–${this.loop[1].toFixed(2)} s` : "Loop";
    if (!this.loop) return;
    shown.style.left = `${(100 * this.loop[0]) / this.duration}%`;
    shown.style.width = `${(100 * (this.loop[1] - this.loop[0])) / this.duration}%`;
  }

  // A click seeks; a drag selects the loop.
  press(event) {
    if (event.button || event.target.closest("a")) return;
    const start = this.timeAt(event);
    const startX = event.clientX;
    let dragged = false;
    const done = new AbortController();
    const { signal } = done;
    addEventListener("pointermove", (moved) => {
      if (Math.abs(moved.clientX - startX) > DRAG_PX) dragged = true;
      if (!dragged) return;
      const now = this.timeAt(moved);
      this.setLoop([Math.min(start, now), Math.max(start, now)]);
    }, { signal });
    const end = () => {
      done.abort();
      if (!dragged) {
        if (this.loop && (start < this.loop[0] || start > this.loop[1])) this.setLoop(null);
        this.seek(start);
      } else if (this.loop) this.seek(this.loop[0]);
    };
    addEventListener("pointerup", end, { signal });
    addEventListener("pointercancel", () => done.abort(), { signal });
  }

  timeAt(event) {
    const box = this.find("course").getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * this.duration;
  }

  // --- zoom -------------------------------------------------------------------------------

  setZoom(asked, around = this.time) {
    const travel = this.find("travel");
    const most = 2 ** Math.max(0, Math.floor(Math.log2(MAX_PX / travel.clientWidth)));
    const zoom = Math.max(1, Math.min(most, 64, asked));
    if (zoom === this.zoom) return;
    const course = this.find("course");
    const before = (around / this.duration) * course.clientWidth - travel.scrollLeft;
    this.zoom = zoom;
    course.style.width = `${100 * zoom}%`;
    travel.scrollLeft = (around / this.duration) * course.clientWidth - before;
    this.find("zoom-level").textContent = `${zoom}×`;
    this.querySelector("[data-zoom=out]").disabled = zoom === 1;
    this.querySelector("[data-zoom=in]").disabled = zoom >= Math.min(most, 64);
    this.drawTimeAxis();
  }

  follow(time) {
    const travel = this.find("travel");
    const at = (time / this.duration) * this.find("course").clientWidth - travel.scrollLeft;
    if (at < 0 || at > travel.clientWidth) travel.scrollLeft += at - travel.clientWidth * 0.1;
  }

  visible() {
    const travel = this.find("travel");
    const width = this.find("course").clientWidth;
    return [travel.scrollLeft, travel.scrollLeft + travel.clientWidth].map((at) => Math.min(this.duration, (at / width) * this.duration));
  }

  // The server draws the axis without zoom. Redraw it with steps that leave room for the labels.
  drawTimeAxis() {
    const axis = this.find("time-axis");
    const width = this.find("course").clientWidth;
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120].find((s) => (s / this.duration) * width >= 70) ?? 120;
    axis.replaceChildren();
    for (let number = 0; number * step <= this.duration + 1e-6; number += 1) {
      const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      text.setAttribute("x", `${(100 * number * step) / this.duration}%`);
      text.setAttribute("y", "14");
      text.textContent = `${Number((number * step).toFixed(2))}${number ? "" : " s"}`;
      axis.append(text);
    }
  }

  // --- attribution ---------------------------------------------------------------------------

  // number: the class's key, from 1; 0 hides the attribution. Asks for an explanation that is not made.
  show(number) {
    const block = document.querySelector(`[data-explain="${number}"]`);
    if (number && !block) return;
    this.chosen = number;
    const made = block?.querySelector("[data-picture-url]");
    if (made) this.addLayer(number, block.dataset.name, made.dataset.pictureUrl);
    for (const layer of this.querySelectorAll("[data-attribution]")) {
      layer.hidden = Number(layer.dataset.attribution) !== number;
      this.place(layer);
      layer.style.opacity = document.querySelector("[data-opacity]").value / 100;
    }
    this.find("picture").classList.toggle("lit", Boolean(made));
    for (const button of document.querySelectorAll(".answer-button")) {
      button.setAttribute("aria-pressed", Number(button.dataset.class) === number);
    }
    for (const name of ["explain", "hear"]) {
      for (const each of document.querySelectorAll(`[data-${name}]`)) each.hidden = Number(each.dataset[name]) !== number;
    }
    document.querySelector("[data-opacity-row]").hidden = !number;
    document.querySelector("[data-attribution-words]").hidden = Boolean(number);
    if (block) {
      this.showChannels(block, made);
      this.ask(block);
    }
    this.adopt();
  }

  addLayer(number, name, url) {
    if (this.querySelector(`[data-attribution="${number}"]`)) return;
    const layer = new Image();
    layer.className = "attribution-layer";
    layer.dataset.attribution = number;
    layer.alt = `Attribution for ${name}, drawn over the spectrogram`;
    layer.draggable = false;
    layer.src = url;
    this.find("picture").append(layer);
  }

  // Requests the explanation of a class once; htmx itself requests that of the first one.
  ask(block) {
    if (block.dataset.asked || block.querySelector(".inspection")) return;
    block.dataset.asked = "";
    const form = block.querySelector("form");
    if (!form.getAttribute("hx-trigger")) form.requestSubmit();
  }

  // The server did not accept a request: offer to try again.
  refused(event) {
    const state = event.target.closest?.("[data-explain]")?.querySelector("[role=status]");
    if (!state || event.target.matches(".inspection")) return;
    state.className = "small bad";
    state.textContent = "The request could not be sent.";
  }

  // Shows the channels of each stage that contribute most to a class, or places for them.
  showChannels(block, made) {
    for (const grid of document.querySelectorAll("[data-strongest]")) {
      const found = made?.querySelector(`template[data-channels-of="${grid.dataset.strongest}"]`);
      const shown = found ?? document.querySelector("template[data-channel-places]");
      if (grid.shown === shown) continue;
      grid.shown = shown;
      grid.replaceChildren(shown.content.cloneNode(true));
    }
    for (const name of document.querySelectorAll("[data-explained]")) name.textContent = block.dataset.name;
    const state = block.querySelector("[role=status]")?.textContent ?? "not computed";
    for (const place of document.querySelectorAll("[data-place-words]")) place.textContent = state;
  }

  // Places an element of the window shown on its part of the time axis.
  place(element) {
    const from = Number(this.dataset.from);
    const to = Number(this.dataset.to);
    element.style.left = `${(100 * from) / this.duration}%`;
    element.style.width = `${(100 * (to - from)) / this.duration}%`;
  }

  // --- maps -------------------------------------------------------------------------------

  // facts: low, high and the number of channels averaged. tile: left, top, width, height in a sheet.
  showMap(image, title, facts, tile) {
    const canvas = this.querySelector("[data-lane] canvas");
    copyOnto(canvas, image, tile);
    for (const name of ["low", "high"]) canvas.dataset[name] = facts[name];
    this.place(canvas);
    this.find("lane").hidden = false;
    this.find("lane-caption").hidden = false;
    this.find("lane-title").textContent = title;
    const of = Number(facts.of) > 1 ? `mean of ${facts.of} channels · ` : "";
    this.find("lane-facts").textContent = `${of}${canvas.height}×${canvas.width} cells · ${Number(facts.low).toFixed(2)} to ${Number(facts.high).toFixed(2)}`;
    const png = this.find("lane-png");
    png.hidden = Boolean(tile);
    png.href = image.src;
    png.download = `${title.replace(/[^\w.]+/g, "-")}.png`;
    for (const button of document.querySelectorAll("button[data-map]")) button.setAttribute("aria-pressed", button.contains(image));
    this.scrollIntoView({ block: "nearest" });
  }

  showTile(sheet, place) {
    const { columns, shape: [, height, width], channels } = JSON.parse(sheet.dataset.figures);
    const facts = channels[place];
    if (!facts) return;
    const tile = [(place % columns) * width, Math.floor(place / columns) * height, width, height];
    this.showMap(sheet, `${sheet.dataset.title}, channel ${facts.number}`, facts, tile);
  }

  closeMap() {
    this.find("lane").hidden = true;
    this.find("lane-caption").hidden = true;
    for (const button of document.querySelectorAll("button[data-map]")) button.setAttribute("aria-pressed", false);
  }

  // --- pointer and keys -------------------------------------------------------------------

  clicked(event) {
    const map = event.target.closest("button[data-map]");
    const answer = event.target.closest("button[data-class]");
    const open = event.target.closest("[data-open]");
    if (map) {
      const image = map.querySelector("img");
      if (map.getAttribute("aria-pressed") === "true") this.closeMap();
      else if (image.complete && image.naturalWidth) this.showMap(image, map.dataset.title, image.dataset);
    } else if (answer) {
      const number = Number(answer.dataset.class);
      this.show(number === this.chosen ? 0 : number);
    } else if (open) {
      const details = document.getElementById(open.dataset.open);
      details.open = !details.open;
      open.setAttribute("aria-expanded", details.open);
    } else if (event.target.matches("img[data-sheet]")) {
      const sheet = event.target;
      const box = sheet.getBoundingClientRect();
      const { columns, shape } = JSON.parse(sheet.dataset.figures);
      const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
      const row = Math.floor(((event.clientY - box.top) / box.height) * Math.ceil(shape[0] / columns));
      this.showTile(sheet, row * columns + column);
    } else if (event.target.closest("[data-lane-close]")) {
      this.closeMap();
    }
  }

  point(event) {
    const grid = event.target.closest?.("[data-picture]")?.querySelector("[data-grid]") ?? event.target.closest?.("[data-grid]");
    const readout = this.find("readout");
    const inside = this.contains(event.target);
    const tip = this.tip();
    if (!grid) {
      tip.hidden = true;
      return;
    }
    const box = grid.getBoundingClientRect();
    const words = reading(grid, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, this.bands);
    if (inside) readout.textContent = words;
    tip.hidden = inside || !words;
    tip.textContent = words;
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${event.clientY + 16}px`;
  }

  // Tooltip for the small pictures, which have no readout of their own.
  tip() {
    let tip = document.querySelector(".tip");
    if (!tip) {
      tip = document.createElement("div");
      tip.className = "tip number";
      tip.hidden = true;
      document.querySelector("main").append(tip);
    }
    return tip;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    const pressable = event.target.closest("button, summary, a");
    const step = this.duration * SEEK_SHARE / this.zoom;
    const react = {
      " ": () => this.playPause(),
      ArrowLeft: () => this.seek(this.time - step),
      ArrowRight: () => this.seek(this.time + step),
      "[": () => this.setLoop([this.time, this.loop?.[1] > this.time ? this.loop[1] : this.duration]),
      "]": () => this.setLoop([this.loop?.[0] < this.time ? this.loop[0] : 0, this.time]),
      l: () => this.setLoop(this.loop ? null : this.visible()),
      "+": () => this.setZoom(this.zoom * 2),
      "-": () => this.setZoom(this.zoom / 2),
      a: () => {
        const names = Object.keys(this.sources);
        this.use(names[(names.indexOf(this.name) + 1) % names.length]);
      },
    }[event.key] ?? (/^[0-6]$/.test(event.key) ? () => this.show(Number(event.key)) : null);
    if (!react || (pressable && event.key === " ")) return;
    event.preventDefault();
    react();
  }
}

customElements.define("sono-scope", SonoScope);

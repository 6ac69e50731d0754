// The scope of a result page: connects the player, the time axis, the explanation of the chosen
// class and the maps of the network with the page's buttons and keys.

const SEEK_SHARE = 1 / 50;
// A narrower window is shown by its edges only.
const MIN_WINDOW_PX = 32;

class SonoScope extends HTMLElement {
  async connectedCallback() {
    this.find = (name) => this.querySelector(`[data-${name}]`);
    this.duration = Number(this.dataset.duration);
    this.window = { from: Number(this.dataset.from), to: Number(this.dataset.to) };
    this.quiet = new AbortController();
    this.explained = true;
    this.shown = null; // the explanation of the chosen class: { url, verdict, mask, parts }
    this.known = new Map();
    this.events = {
      ready: () => (this.find("play").disabled = false),
      state: (playing) => this.showState(playing),
      tick: (time) => this.tick(time),
      failed: (words) => (this.find("clock").textContent = words),
    };
    this.player = playerOf(this.dataset.sound, this.find("media"), this.duration, this.events);
    this.timeline = new Timeline(this, this.duration, {
      seek: (time, event) => this.seek(time, event),
      loop: (range) => this.player.setLoop(range),
      view: () => this.drawView(),
    });
    const pictures = () => this.tiles?.pictures() ?? [this.querySelector(".spectrogram")];
    this.explanation = new ExplanationView(this, this.timeline, this.window, pictures);
    this.network = new NetworkView(this, this.timeline, this.player, this.window);
    if (this.dataset.lanesUrl) this.openRecording();
    this.listen();
    this.choose(Number(this.dataset.chosen));
    this.player.tell();
    keepFocus(this.find("play"));
    this.lanes?.load();
    const response = await fetch(this.dataset.peaks).catch(() => null);
    if (!response?.ok) return this.player.events.failed("The waveform could not be loaded. Reload the page to try again.");
    const peaks = await response.json();
    if (!this.isConnected) return;
    this.wave = new Waveform(this.find("wave"), peaks, this.timeline);
    this.pieces?.forEach((piece) => this.wave.add(piece));
    this.draw();
    this.wave.draw();
  }

  // What only the page of a recording has.
  openRecording() {
    this.pieces = []; // finer peaks that arrived before the waveform
    this.tiles = new Tiles(this, this.timeline, {
      wave: (piece) => (this.wave ? this.wave.add(piece) : this.pieces.push(piece)),
      changed: () => this.draw(),
    });
    this.rows = new EventRows(this.player, this.dataset.event);
    if (this.find("lanes")) this.lanes = new Lanes(this, this.timeline, this.player);
    const { showFrom, showTo } = this.dataset;
    if (showFrom === undefined) return;
    const from = Math.min(Number(showFrom), this.window.from);
    this.timeline.show(from, Math.max(Number(showTo), this.window.to));
    this.player.seek(Number(showFrom));
  }

  // Draws what depends on the zoom and the place of the view.
  drawView() {
    this.wave?.draw();
    this.lanes?.draw();
    this.tiles?.update();
    // A contour of a few pixels would only hide the sound.
    const windowPx = ((this.window.to - this.window.from) / this.duration) * this.timeline.width;
    this.classList.toggle("far", windowPx < MIN_WINDOW_PX);
  }

  disconnectedCallback() {
    this.quiet.abort();
    this.player.leave(this.events);
    this.network.destroy();
    this.timeline.destroy();
    this.tiles?.destroy();
  }

  on(target, type, react, options = {}) {
    target.addEventListener(type, react, { signal: this.quiet.signal, ...options });
  }

  listen() {
    this.on(this.find("play"), "click", () => this.player.toggle());
    this.on(this.find("loop"), "click", () => this.timeline.toggleLoop());
    this.on(this.find("explanation-switch"), "click", () => this.explain(!this.explained));
    for (const button of this.querySelectorAll("[data-zoom]")) {
      this.on(button, "click", () => this.zoom(button.dataset.zoom === "in" ? 2 : 0.5));
    }
    for (const button of this.querySelectorAll("[data-source]")) {
      this.on(button, "click", () => this.use(button.dataset.source));
    }
    this.on(this.find("sources"), "keydown", (event) => this.walkSources(event));
    this.on(this.find("travel"), "wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 2 : 0.5, this.timeline.timeAt(event));
    });
    this.on(this.find("course"), "pointerdown", (event) => this.timeline.press(event));
    this.on(document, "keydown", (event) => this.key(event));
    this.on(document, "click", (event) => this.clicked(event));
    this.listenToMaps();
    // When htmx shows a finished explanation of the chosen class, show it here too.
    this.on(document, "htmx:after:swap", ({ detail }) => this.swapped(detail.ctx.target));
    for (const type of ["htmx:error", "htmx:response:error"]) this.on(document, type, (event) => this.refused(event));
  }

  // htmx has replaced a part of the page.
  swapped({ id }) {
    if (id === "events") {
      this.rows.replaced();
      this.lanes?.mark();
      return;
    }
    if (id === "recorded" && this.rows) {
      htmx.ajax("GET", location.href, { target: "#events", select: "#events", selectOOB: "#recorded-at", swap: "outerHTML" });
      return;
    }
    if (document.querySelector("#pending [data-kind=window][data-state=done]")) {
      // All that belongs to the window can be shown now.
      htmx.ajax("GET", location.href, { target: "#opened", select: "#opened", swap: "outerHTML" });
      return;
    }
    const pressed = document.querySelector(".answer-button[aria-pressed=true]");
    this.choose(id === "opened" ? Number(pressed.dataset.class) : this.chosen);
  }

  listenToMaps() {
    const hide = () => this.network.hide();
    // A finger does not point: the patch of a tapped cell stays until the next touch.
    this.on(document, "pointerdown", (event) => {
      if (event.pointerType === "touch") this.network.point(event);
    });
    this.on(document, "pointermove", (event) => {
      this.network.point(event, this.readable(event));
      if (this.lanes && event.target.closest?.("[data-lanes]")) this.lanes.point(event);
    });
    this.on(document.documentElement, "pointerleave", hide);
    this.on(document, "scroll", () => this.network.scrolled((event) => this.readable(event)), { capture: true, passive: true });
    this.on(document, "focusout", hide);
    this.on(document, "focusin", ({ target }) => {
      if (target.matches("[data-map]:focus-visible")) this.network.focus(target);
    });
    this.on(document, "change", ({ target }) => {
      if (!target.matches("[data-sheet-channel]")) return;
      const sheet = target.closest(".inspection").querySelector("img[data-sheet]");
      const { channels } = JSON.parse(sheet.dataset.figures);
      keepInPlace(target, () => this.network.enlargeTile(sheet, channels.findIndex(({ number }) => number === target.valueAsNumber)));
    });
  }

  // The picture under the pointer: the part that is played, the finest tile, or the whole clip.
  readable(event) {
    const { readable } = this.explanation;
    if (readable.matches("[data-shade]") || !this.tiles) return readable;
    const time = this.timeline.timeAt(event);
    return this.tiles.pictures().find(({ dataset }) => time >= dataset.from && time < dataset.to) ?? readable;
  }

  // --- playback -------------------------------------------------------------------------------

  showState(playing) {
    showPlaying(this.find("play"), playing);
  }

  tick(time) {
    this.timeline.moveTo(time, this.player.playing);
    this.network.sweep(time);
    this.rows?.sweep();
  }

  // A click on a recording plays it from there: it is too long to be played from its start.
  seek(time, event) {
    if (event?.target.closest("[data-lanes]")) this.lanes.press(event);
    else if (this.tiles && event) this.player.playFrom(time);
    else this.player.seek(time);
  }

  use(name) {
    this.player.choose(name);
    this.draw();
  }

  walkSources(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    this.nextSource(step);
    this.querySelector("[data-source][aria-checked=true]").focus();
  }

  nextSource(step) {
    const names = [...this.querySelectorAll("[data-source]")].map((button) => button.dataset.source);
    this.use(names[(names.indexOf(this.player.name) + step + names.length) % names.length]);
  }

  // Zooms around a time: by default the playhead, or the middle of the view if it is elsewhere.
  zoom(factor, around = null) {
    const { time } = this.player;
    const [from, to] = this.timeline.visible();
    const middle = time >= from && time <= to ? time : (from + to) / 2;
    this.timeline.setZoom(this.timeline.zoom * factor, around ?? middle);
  }

  skip(by) {
    this.player.seek(this.player.time + by);
    this.timeline.follow(this.player.time);
  }

  // --- the explanation of the chosen class ----------------------------------------------------

  // number: the class's key, from 1. Requests an explanation that is not made.
  choose(number) {
    const block = document.querySelector(`[data-explain="${number}"]`);
    if (!block) return;
    this.chosen = number;
    for (const button of document.querySelectorAll(".answer-button")) {
      button.setAttribute("aria-pressed", Number(button.dataset.class) === number);
    }
    for (const each of document.querySelectorAll("[data-explain]")) each.hidden = each !== block;
    for (const name of document.querySelectorAll("[data-explained]")) name.textContent = block.dataset.name;
    // The refined explanation, if there is one.
    const made = [...block.querySelectorAll("[data-picture-url]")].at(-1) ?? null;
    this.showChannels(block, made);
    this.ask(block);
    this.adopt(made);
  }

  // Requests the explanation of a class once; htmx itself requests that of the first one. Viewers of a share link have no form.
  ask(block) {
    const form = block.querySelector("form");
    if (!form || block.dataset.asked || block.querySelector(".inspection")) return;
    block.dataset.asked = "";
    if (!form.getAttribute("hx-trigger")) form.requestSubmit();
  }

  // Shows a finished explanation on the spectrogram, and offers its parts for playback.
  adopt(made) {
    const url = made?.dataset.pictureUrl;
    if (this.shown?.url === url) return;
    const known = url ? (this.known.get(url) ?? { url, mask: null, parts: null, verdict: made.querySelector("[data-verdict] h3").textContent }) : null;
    this.shown = known;
    this.player.use(known?.parts ?? null);
    this.draw();
    if (known && !this.known.has(url)) this.load(known, made.dataset);
  }

  // Loads the picture of an explanation and shows it, then loads its sounds.
  async load(known, { kept, rest, keptGain, restGain }) {
    this.known.set(known.url, known);
    const sounds = { ...this.window, kept, rest, keptGain: Number(keptGain), restGain: Number(restGain) };
    try {
      known.mask = await this.explanation.load(known.url);
      if (this.shown === known) this.draw();
      known.parts = await this.player.load(sounds);
    } catch (error) {
      this.known.delete(known.url);
      this.player.events.failed("The explanation could not be loaded. Reload the page to try again.");
      throw error;
    }
    if (this.shown !== known) return;
    this.player.use(known.parts);
    this.draw();
  }

  explain(on) {
    this.explained = on;
    this.draw();
  }

  // Draws what is shown and played.
  draw() {
    const { name } = this.player;
    const { mask, parts, verdict } = this.shown ?? {};
    // Of silence, nothing is explained.
    const chosen = document.querySelector(`[data-explain="${this.chosen}"]`)?.dataset.name;
    this.explanation.draw(mask, name, this.explained, chosen);
    this.find("explanation-switch").setAttribute("aria-pressed", this.explained);
    this.find("key").classList.toggle("off", !(this.explained && mask));
    this.find("key").dataset.shown = name;
    this.find("key-verdict").textContent = verdict ?? "";
    this.find("sources").hidden = !parts;
    for (const button of this.querySelectorAll("[data-source]")) {
      const on = button.dataset.source === name;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
    this.wave?.show(name === "original" ? null : parts.buffers[name], this.window.from);
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
    const state = block.querySelector("[role=status]")?.textContent ?? "not computed";
    for (const place of document.querySelectorAll("[data-place-words]")) place.textContent = state;
  }

  // --- buttons and keys -----------------------------------------------------------------------

  clicked(event) {
    const closest = (selector) => event.target.closest(selector);
    const answer = closest("button[data-class]");
    const frame = closest("button[data-map], [data-lane]");
    const row = closest("[data-play-event]")?.closest(".event");
    const lanes = closest("[data-more-lanes]");
    const lane = event.ctrlKey || event.metaKey || event.shiftKey ? null : closest("[data-lane-names] a");
    const larger = closest("[data-enlarge]");
    const open = closest("[data-open]");
    const summary = closest(".stage > summary");
    if (answer) {
      this.explain(true);
      this.choose(Number(answer.dataset.class));
    } else if (row) this.rows.play(row);
    else if (lanes) this.lanes.toggle(lanes);
    else if (lane) {
      event.preventDefault();
      this.lanes.filter(lane.parentElement.dataset.label);
    } else if (frame) this.pressCell(event, frame);
    else if (larger) this.enlarge(larger);
    else if (closest("[data-lane-back]")) this.backToMaps();
    else if (closest("[data-lane-close]")) keepInPlace(this.find("key"), () => this.network.closeLane());
    else if (event.target.matches("img[data-sheet]")) this.showLane(event.target, () => this.network.enlargeTileAt(event.target, event));
    else if (open) keepInPlace(open, () => this.network.toggleStage(document.getElementById(open.dataset.open)));
    else if (summary) {
      event.preventDefault();
      keepInPlace(summary, () => this.network.toggleStage(summary.parentElement));
    }
  }

  enlarge(button) {
    this.enlargeFrame(button.closest(".station, figure").querySelector("[data-map]"), button);
  }

  enlargeFrame(frame, pressed) {
    const image = frame.querySelector("img");
    if (!image.complete || !image.naturalWidth) return;
    this.showLane(pressed, () => this.network.enlarge(image, frame.dataset.title, image.dataset));
  }

  // Enlarges a map under the spectrogram. If that is not in view, shows it and remembers what was
  // pressed for the way back.
  showLane(pressed, enlarge) {
    keepInPlace(pressed, enlarge);
    const [lane, caption] = [this.find("lane"), this.find("lane-caption")];
    if (inView(lane) && inView(caption)) return;
    this.cameFrom = pressed;
    this.find("lane-back").hidden = false;
    caption.focus({ preventScroll: true });
    scrollToElement(caption, "end");
  }

  // Back to where a map was enlarged, or to all maps if that place is no longer on the page.
  backToMaps() {
    const place = this.cameFrom?.checkVisibility() ? this.cameFrom : document.querySelector("#inside");
    place.focus({ preventScroll: true });
    scrollToElement(place, "center");
  }

  // Plays the patch of a cell. A tap also shows it, because a finger cannot point at the cell first.
  pressCell(event, frame) {
    const away = frame.matches("[data-map]") && this.network.pointer?.pointerType === "touch" && !inView(this.find("picture"));
    if (away) this.enlargeFrame(frame, frame);
    this.network.press(event, frame);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    this.rows?.key(event);
    if (event.defaultPrevented || usesKeys(event.target)) return;
    const { player, timeline } = this;
    const map = event.target.closest("[data-map]");
    const cell = map && { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const step = (this.duration * SEEK_SHARE) / timeline.zoom;
    const react = cell ? () => this.network.focus(map, cell) : {
      " ": () => player.toggle(),
      ArrowLeft: () => this.skip(-step),
      ArrowRight: () => this.skip(step),
      "[": () => timeline.setLoop([player.time, timeline.loop?.[1] > player.time ? timeline.loop[1] : this.duration]),
      "]": () => timeline.setLoop([timeline.loop?.[0] < player.time ? timeline.loop[0] : 0, player.time]),
      l: () => timeline.toggleLoop(),
      "+": () => this.zoom(2),
      "-": () => this.zoom(0.5),
      a: () => this.nextSource(1),
      e: () => this.explain(!this.explained),
      Escape: () => this.network.hide(),
    }[event.key] ?? (/^[1-5]$/.test(event.key) ? () => { this.explain(true); this.choose(Number(event.key)); } : null);
    if (!react || (event.target.closest("button, summary, a") && event.key === " ")) return;
    event.preventDefault();
    react();
  }
}

customElements.define("sono-scope", SonoScope);

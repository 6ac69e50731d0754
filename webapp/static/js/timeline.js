// The time axis of the scope: zoom, playhead, and the loop that a drag selects.

// Browsers limit the width of elements.
const MAX_PX = 8e6;
const SHORTEST_VIEW_S = 0.15;
const TICK_STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400];
const TICK_PX = 70;
const TICK_CHARACTER_PX = 6.6;
// From this duration on, times are minutes and seconds.
const MINUTES_S = 60;
// An event that is opened fills this share of the view.
const SHOWN_SHARE = 0.3;
const DRAG_PX = 4;
const SHORTEST_LOOP_S = 0.02;

class Timeline {
  constructor(scope, duration, events) {
    this.find = (name) => scope.querySelector(`[data-${name}]`);
    this.scope = scope;
    this.duration = duration;
    this.events = events; // seek(time, pointer event), loop(range), view()
    this.zoom = 1;
    this.loop = null;
    this.viewFrom = 0;
    this.changed = () => {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.viewChanged());
    };
    this.find("travel").addEventListener("scroll", this.changed, { passive: true });
    this.resized = new ResizeObserver(() => {
      // The view begins at the same time as before.
      this.find("travel").scrollLeft = (this.viewFrom / this.duration) * this.width;
      this.changed();
    });
    this.resized.observe(this.find("travel"));
    this.drawAxis();
  }

  destroy() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }

  viewChanged() {
    [this.viewFrom] = this.visible();
    this.drawAxis();
    this.events.view();
  }

  moveTo(time, playing) {
    this.find("playhead").style.left = `${(100 * time) / this.duration}%`;
    this.find("clock").textContent = this.text(time, this.duration >= MINUTES_S ? 1 : 2);
    if (this.zoom > 1 && playing) this.follow(time);
  }

  // A time in words: 2.50 s; of a recording, 9:02.50.
  text(time, decimals = 2) {
    return this.duration >= MINUTES_S ? clockText(time, decimals) : `${time.toFixed(decimals)} s`;
  }

  // Places an element on its part of the time axis.
  place(element, from, to) {
    element.style.left = `${(100 * from) / this.duration}%`;
    element.style.width = `${(100 * (to - from)) / this.duration}%`;
  }

  timeAt(event) {
    const box = this.find("course").getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * this.duration;
  }

  // --- loop -------------------------------------------------------------------------------

  setLoop(range) {
    this.loop = range && range[1] - range[0] >= SHORTEST_LOOP_S ? range : null;
    this.find("loop-range").hidden = !this.loop;
    this.find("loop").setAttribute("aria-pressed", Boolean(this.loop));
    this.writeLoop();
    if (this.loop) this.place(this.find("loop-range"), ...this.loop);
    this.events.loop(this.loop);
  }

  // The times of the loop, at the end of it that leaves more room for them.
  writeLoop() {
    const words = this.find("loop-words");
    words.hidden = !this.loop;
    if (!this.loop) return;
    const [from, to] = this.loop;
    words.textContent = `${this.text(from).replace(" s", "")}–${this.text(to)}`;
    const share = (time) => `${(100 * time) / this.duration}%`;
    const early = from < this.duration / 2;
    words.style.left = early ? share(from) : "auto";
    words.style.right = early ? "auto" : share(this.duration - to);
  }

  toggleLoop() {
    this.setLoop(this.loop ? null : this.visible());
  }

  // A click seeks; a drag selects the loop.
  press(event) {
    if (event.button || event.target.closest("a, [data-lane]")) return;
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
        this.events.seek(start, event);
      } else if (this.loop) this.events.seek(this.loop[0]);
    };
    addEventListener("pointerup", end, { signal });
    addEventListener("pointercancel", () => done.abort(), { signal });
  }

  // --- zoom -------------------------------------------------------------------------------

  setZoom(asked, around) {
    const travel = this.find("travel");
    const most = 2 ** Math.max(0, Math.floor(Math.log2(Math.min(MAX_PX / travel.clientWidth, this.duration / SHORTEST_VIEW_S))));
    const zoom = Math.max(1, Math.min(most, asked));
    if (zoom === this.zoom) return;
    const course = this.find("course");
    const before = (around / this.duration) * course.clientWidth - travel.scrollLeft;
    this.zoom = zoom;
    course.style.width = `${100 * zoom}%`;
    // A finger scrolls sideways when zoomed in, and otherwise selects a loop.
    course.classList.toggle("zoomed", zoom > 1);
    travel.scrollLeft = (around / this.duration) * course.clientWidth - before;
    this.find("zoom-level").textContent = `${zoom}×`;
    this.scope.querySelector("[data-zoom=out]").disabled = zoom === 1;
    this.scope.querySelector("[data-zoom=in]").disabled = zoom >= most;
    this.viewChanged();
  }

  // Zooms and scrolls to a part of the clip.
  show(from, to) {
    this.setZoom(2 ** Math.floor(Math.log2((SHOWN_SHARE * this.duration) / (to - from))), from);
    const travel = this.find("travel");
    travel.scrollLeft = (((from + to) / 2) / this.duration) * this.width - travel.clientWidth / 2;
    this.viewChanged();
  }

  follow(time) {
    const travel = this.find("travel");
    const at = (time / this.duration) * this.find("course").clientWidth - travel.scrollLeft;
    if (at < 0 || at > travel.clientWidth) travel.scrollLeft += at - travel.clientWidth * 0.1;
  }

  visible() {
    const travel = this.find("travel");
    return [travel.scrollLeft, travel.scrollLeft + travel.clientWidth].map((at) => Math.min(this.duration, (at / this.width) * this.duration));
  }

  get width() {
    return this.find("course").clientWidth;
  }

  // Sizes a canvas that stays in the view while the course scrolls; returns its pixels per CSS pixel.
  fit(canvas) {
    return fitCanvas(canvas, this.find("travel").clientWidth);
  }

  // The server draws the axis without zoom. Redraw the part around the view, with steps that leave
  // room for the labels. A label that an edge of the view would cut is left out.
  drawAxis() {
    const axis = this.find("time-axis");
    const [from, to] = this.visible();
    const step = TICK_STEPS.find((s) => (s / this.duration) * this.width >= TICK_PX) ?? TICK_STEPS.at(-1);
    const last = Math.floor(Math.min(this.duration, 2 * to - from) / step + 1e-6);
    const edges = [from, to].map((time) => (time / this.duration) * this.width);
    const ticks = [];
    for (let number = Math.max(0, Math.floor((2 * from - to) / step)); number <= last; number += 1) {
      const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      const share = (number * step) / this.duration;
      text.setAttribute("x", `${100 * share}%`);
      text.setAttribute("y", "14");
      text.style.textAnchor = number === 0 ? "start" : (1 - share) * this.width < TICK_PX / 3 ? "end" : "middle";
      text.textContent = this.tickText(number * step, step);
      const width = text.textContent.length * TICK_CHARACTER_PX;
      const left = share * this.width - width * { start: 0, middle: 0.5, end: 1 }[text.style.textAnchor];
      if (!edges.some((edge) => left < edge && edge < left + width)) ticks.push(text);
    }
    axis.replaceChildren(...ticks);
  }

  tickText(time, step) {
    if (this.duration >= MINUTES_S) return clockText(time, step < 0.1 ? 2 : step < 1 ? 1 : 0);
    return `${Number(time.toFixed(2))}${time ? "" : " s"}`;
  }
}

function fitCanvas(canvas, width) {
  canvas.style.width = `${width}px`;
  canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
  canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
  return devicePixelRatio;
}

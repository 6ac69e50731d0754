// The time axis of the scope: zoom, playhead, and the loop that a drag selects.

const MAX_PX = 30000;
const MAX_ZOOM = 64;
const DRAG_PX = 4;
const SHORTEST_LOOP_S = 0.02;

class Timeline {
  constructor(scope, duration, events) {
    this.find = (name) => scope.querySelector(`[data-${name}]`);
    this.scope = scope;
    this.duration = duration;
    this.events = events; // seek(time), loop(range)
    this.zoom = 1;
    this.loop = null;
    this.drawAxis();
  }

  moveTo(time, playing) {
    this.find("playhead").style.left = `${(100 * time) / this.duration}%`;
    this.find("clock").textContent = `${time.toFixed(2)} s`;
    if (this.zoom > 1 && playing) this.follow(time);
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
    this.find("loop").textContent = this.loop ? `Loop ${this.loop[0].toFixed(2)}–${this.loop[1].toFixed(2)} s` : "Loop";
    if (this.loop) this.place(this.find("loop-range"), ...this.loop);
    this.events.loop(this.loop);
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
        this.events.seek(start);
      } else if (this.loop) this.events.seek(this.loop[0]);
    };
    addEventListener("pointerup", end, { signal });
    addEventListener("pointercancel", () => done.abort(), { signal });
  }

  // --- zoom -------------------------------------------------------------------------------

  setZoom(asked, around) {
    const travel = this.find("travel");
    const most = Math.min(MAX_ZOOM, 2 ** Math.max(0, Math.floor(Math.log2(MAX_PX / travel.clientWidth))));
    const zoom = Math.max(1, Math.min(most, asked));
    if (zoom === this.zoom) return;
    const course = this.find("course");
    const before = (around / this.duration) * course.clientWidth - travel.scrollLeft;
    this.zoom = zoom;
    course.style.width = `${100 * zoom}%`;
    travel.scrollLeft = (around / this.duration) * course.clientWidth - before;
    this.find("zoom-level").textContent = `${zoom}×`;
    this.scope.querySelector("[data-zoom=out]").disabled = zoom === 1;
    this.scope.querySelector("[data-zoom=in]").disabled = zoom >= most;
    this.drawAxis();
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
  drawAxis() {
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
}

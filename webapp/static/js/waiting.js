// The scope of a result page while the clip is analysed: its player at once, the waveform and the
// spectrogram as soon as they are stored. It seeks by a click only on the spectrogram.

const SKIP_SHARE = 1 / 50;

class SonoWaiting extends HTMLElement {
  async connectedCallback() {
    this.find = (name) => this.querySelector(`[data-${name}]`);
    this.quiet = new AbortController();
    this.events = {
      ready: () => this.ready(),
      state: (playing) => showPlaying(this.find("play"), playing),
      tick: (time) => this.tick(time),
      failed: () => (this.find("clock").textContent = "Can be played when it is analysed"),
    };
    const media = this.find("media");
    if (!media) return; // under a share link
    this.player = playerOf(this.dataset.sound, media, Number(this.dataset.duration), this.events);
    const { signal } = this.quiet;
    this.find("play").addEventListener("click", () => this.player.toggle());
    document.addEventListener("keydown", (event) => this.key(event), { signal });
    this.player.tell();
    keepFocus(this.find("play"));
    if (!this.dataset.peaks) return;
    this.find("playhead").hidden = false;
    this.find("course").addEventListener("pointerdown", (event) => this.press(event));
    const response = await fetch(this.dataset.peaks).catch(() => null);
    if (!response?.ok) return;
    const peaks = await response.json();
    if (!this.isConnected) return;
    this.drawn = new ResizeObserver(() => this.wave.draw());
    this.wave = new Waveform(this.find("wave"), peaks, this.axis());
    this.drawn.observe(this.find("wave"));
  }

  disconnectedCallback() {
    this.quiet.abort();
    this.drawn?.disconnect();
    this.player?.leave(this.events);
  }

  // The whole clip on one axis, without zoom.
  axis() {
    const { duration } = this.player;
    return { duration, visible: () => [0, duration], fit: (canvas) => fitCanvas(canvas, this.find("wave").clientWidth) };
  }

  ready() {
    this.find("play").disabled = false;
    const { duration } = this.player;
    if (Number.isFinite(duration)) this.find("of").textContent = `of ${duration >= MINUTES_S ? clockText(duration) : `${duration.toFixed(2)} s`}`;
  }

  tick(time) {
    const { duration } = this.player;
    this.find("clock").textContent = duration >= MINUTES_S ? clockText(time, 1) : `${time.toFixed(2)} s`;
    this.find("playhead").style.left = `${(100 * time) / duration}%`;
  }

  press(event) {
    if (event.button) return;
    const box = this.find("course").getBoundingClientRect();
    this.player.playFrom(((event.clientX - box.left) / box.width) * this.player.duration);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (usesKeys(event.target) || this.find("play").disabled) return;
    const step = Math.min(this.player.duration, MINUTES_S) * SKIP_SHARE;
    const react = {
      " ": () => this.player.toggle(),
      ArrowLeft: () => this.player.seek(this.player.time - step),
      ArrowRight: () => this.player.seek(this.player.time + step),
    }[event.key];
    if (!react || (event.target.closest("button, summary, a") && event.key === " ")) return;
    event.preventDefault();
    react();
  }
}

customElements.define("sono-waiting", SonoWaiting);

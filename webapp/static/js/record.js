// Recording on the Upload page: request the microphone, record, play back, then upload as a file.
// The button is hidden if the browser cannot record.

const TICK_MS = 50;
const BAR_PX = 4;
const SILENCE_DB = -60;
const BITS_PER_S = 128_000;
const FORMATS = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
// Speech processing in browsers removes the environmental sounds that are to be classified.
const AS_IT_SOUNDS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const REASONS = {
  NotAllowedError: "Microphone access was denied. Allow it for this page in your browser, then press Record again.",
  NotFoundError: "No microphone was found. Connect one, then press Record again.",
  NotReadableError: "The microphone is not available. Another program may be using it. Close that program, then press Record again.",
};

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// recording-2026-11-22-21-40.webm, in local time
const nameOf = (type, now = new Date()) => {
  const local = new Date(now - now.getTimezoneOffset() * 60_000).toISOString();
  return `recording-${local.slice(0, 16).replace(/[T:]/g, "-")}.${type.match(/\w+\/(\w+)/)[1]}`;
};

class SonoRecord extends HTMLElement {
  connectedCallback() {
    this.mostS = Number(this.dataset.mostS);
    for (const name of ["record", "stop", "send", "discard"]) {
      this.part(name).addEventListener("click", () => this[name]());
    }
    this.part("play").addEventListener("loadedmetadata", () => this.findEnd());
    this.warnBeforeUnload = (event) => this.state !== "idle" && event.preventDefault();
    addEventListener("beforeunload", this.warnBeforeUnload);
    const able = window.MediaRecorder && navigator.mediaDevices?.getUserMedia;
    this.part("record").hidden = !able;
    this.part("insecure").hidden = window.isSecureContext;
    this.show("idle");
  }

  disconnectedCallback() {
    removeEventListener("beforeunload", this.warnBeforeUnload);
    this.letGo();
  }

  part(name) {
    return this.querySelector(`[data-${name}]`);
  }

  show(state) {
    this.state = state;
    for (const part of this.querySelectorAll("[data-while]")) {
      part.hidden = !part.dataset.while.split(" ").includes(state);
    }
  }

  say(words) {
    this.part("said").textContent = words;
  }

  async record() {
    this.part("refusal").hidden = true;
    this.part("record").disabled = true;
    this.say("Requesting access to the microphone.");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_SOUNDS });
      this.start();
    } catch (error) {
      this.letGo();
      this.say("");
      if (!(error instanceof DOMException)) throw error;
      this.part("refusal").textContent = REASONS[error.name] ?? `The microphone could not be started (${error.name}). Check the microphone, then press Record again.`;
      this.part("refusal").hidden = false;
    } finally {
      this.part("record").disabled = false;
    }
  }

  start() {
    const mimeType = FORMATS.find((type) => MediaRecorder.isTypeSupported(type));
    this.recorder = new MediaRecorder(this.stream, { mimeType, audioBitsPerSecond: BITS_PER_S });
    const parts = [];
    this.recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    // Also when the microphone is unplugged.
    this.recorder.addEventListener("stop", () => this.finish(parts));
    this.context = new AudioContext();
    this.analyser = this.context.createAnalyser();
    this.context.createMediaStreamSource(this.stream).connect(this.analyser);
    this.levels = [];
    this.recorder.start();
    this.startedMs = performance.now();
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.show("recording");
    this.tick();
    this.say("Recording.");
    this.part("stop").focus();
  }

  tick() {
    const elapsedS = (performance.now() - this.startedMs) / 1000;
    // Stop slightly early, because the recorder adds data that is still buffered.
    if (elapsedS > this.mostS - 0.5) return this.stop();
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    this.levels.push(Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / SILENCE_DB));
    const silent = this.levels.length > 2000 / TICK_MS && !this.levels.some((level) => level > 0);
    this.part("silent").hidden = !silent;
    const whole = clock(elapsedS);
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (calm && whole === this.part("clock").textContent) return;
    this.part("clock").textContent = whole;
    this.draw(this.levels.slice(-this.bars()));
  }

  stop() {
    if (this.recorder.state === "recording") this.recorder.stop();
  }

  finish(parts) {
    const lengthS = (performance.now() - this.startedMs) / 1000;
    this.letGo();
    this.file = new File(parts, nameOf(this.recorder.mimeType), { type: this.recorder.mimeType });
    this.part("play").inert = true;
    this.part("play").src = URL.createObjectURL(this.file);
    this.part("length").textContent = clock(lengthS);
    this.show("recorded");
    const whole = squeeze(this.levels, this.bars());
    this.draw(whole, this.part("level").clientWidth / whole.length);
    const rounded = Math.round(lengthS);
    this.say(`Recorded ${rounded} second${rounded === 1 ? "" : "s"}. Play, send or discard the recording.`);
  }

  // A recording has no duration in its header; the player finds it by seeking to the end. Until then
  // it must not be played, because playback would stop there.
  findEnd() {
    const player = this.part("play");
    const found = () => {
      player.currentTime = 0;
      player.inert = false;
      // Not the Send button: a key held down on Stop must not trigger it.
      if (document.activeElement === document.body) player.focus();
    };
    if (player.duration !== Infinity) return found();
    player.addEventListener("durationchange", found, { once: true });
    player.currentTime = Number.MAX_SAFE_INTEGER;
  }

  send() {
    this.closest("sono-drop, sono-try").add([this.file]);
    this.over("Sent.");
  }

  discard() {
    this.over("Discarded.");
  }

  over(words) {
    URL.revokeObjectURL(this.part("play").src);
    this.part("play").removeAttribute("src");
    this.show("idle");
    this.say(words);
    this.part("record").focus();
  }

  letGo() {
    clearInterval(this.timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    if (this.context && this.context.state !== "closed") this.context.close();
  }

  bars() {
    return Math.floor(this.part("level").clientWidth / BAR_PX);
  }

  draw(levels, barPx = BAR_PX) {
    const canvas = this.part("level");
    const sharp = devicePixelRatio;
    canvas.width = canvas.clientWidth * sharp;
    canvas.height = canvas.clientHeight * sharp;
    const pen = canvas.getContext("2d");
    pen.scale(sharp, sharp);
    levels.forEach((level, index) => {
      const height = 2 + level * (canvas.clientHeight - 16);
      pen.fillStyle = level > 0 ? "#fd9668" : "#77737f";
      pen.fillRect(index * barPx + 1, (canvas.clientHeight - height) / 2, barPx - 2, height);
    });
  }
}

// Reduces the levels to the bars that fit; each bar is the maximum of its levels.
const squeeze = (levels, most) => {
  if (levels.length <= most) return levels;
  const from = (index) => Math.floor((index * levels.length) / most);
  return Array.from({ length: most }, (_, index) => Math.max(...levels.slice(from(index), from(index + 1))));
};

customElements.define("sono-record", SonoRecord);

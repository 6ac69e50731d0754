// Plays a clip. In the explained window it plays the original, the marked part or the rest: three
// buffers that run together, of which one is audible, so that a switch leaves no gap.

const FADE_S = 0.01;
// Loudness is the RMS of the loudest part of this length.
const LOUD_PART_S = 0.4;
const MAX_CUT_DB = 12;
// Near the end of a window the next part of the clip follows.
const END_S = 0.02;
const MIN_PATCH_S = 0.25;
const UNPLAYABLE = "This browser cannot play the file. Try another browser.";

// The player of the page's sound.
let current = null;

// Returns the player of a sound: the one that has loaded it already, or a new one of the <audio>.
function playerOf(sound, media, duration, events) {
  if (current?.sound === sound && current.media.readyState) {
    // htmx adds the new scope before it removes the old one: moved at once, the sound plays on.
    media.replaceWith(current.media);
    media.removeAttribute("src");
    current.take(duration, events);
  } else {
    current?.destroy();
    current = new Player(media, duration, events);
    current.sound = sound;
  }
  return current;
}

// htmx adds the new scope before it removes the old one: the new button takes the focus of the old
// one. (By an id, htmx would do it, but it would also undo what the script has changed.)
function keepFocus(button) {
  const focused = document.activeElement;
  if (focused !== button && focused?.matches("[data-play]")) button.focus({ preventScroll: true });
}

function showPlaying(button, playing) {
  button.classList.toggle("playing", playing);
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
}

class Player {
  // media: an <audio>. events: ready(), state(playing), tick(time), failed(sentence).
  constructor(media, duration, events) {
    this.duration = duration;
    this.known = Boolean(duration);
    this.events = events;
    this.name = "original";
    this.position = 0;
    this.playing = false;
    this.finished = false; // whether it played to the end
    this.loop = null; // [from, to] in seconds
    this.until = null; // the end of the patch or span that plays
    this.filtered = false; // whether a patch plays, through a filter
    this.span = null; // [from, to] of the event that plays
    this.window = null; // { from, to, buffers, levels }
    this.media = media;
    // Before the analysis, only the browser knows the duration.
    media.addEventListener("durationchange", () => this.measure());
    media.addEventListener("loadedmetadata", () => this.events.ready());
    media.addEventListener("ended", () => this.voice || this.ended());
    media.addEventListener("error", () => this.events.failed(UNPLAYABLE));
    this.measure(); // it began to load with the page
  }

  measure() {
    if (!this.known && this.media.readyState) this.duration = this.media.duration;
  }

  // Plays on under another scope that htmx has put in place of the first.
  take(duration, events) {
    this.known ||= Boolean(duration);
    this.duration = duration || this.duration;
    this.events = events;
  }

  // Tells the scope what it missed before it was connected.
  tell() {
    if (this.media.readyState) this.events.ready();
    this.events.state(this.playing);
    this.tick(this.time);
    if (this.media.error) this.events.failed(UNPLAYABLE);
  }

  // Where the time is shown, a failure is shown too: it stays until something can be heard.
  tick(time) {
    if (this.voice || !this.media.error) this.events.tick(time);
  }

  // The scope is removed: stops, unless another scope has taken the player.
  leave(events) {
    if (this.events !== events) return;
    this.destroy();
    current = null;
  }

  destroy() {
    this.pause();
    this.media.removeAttribute("src");
    this.context?.close();
  }

  // Browsers allow a context to start only after the user has acted.
  open() {
    if (this.context) return;
    this.context = new AudioContext();
    this.direct = new GainNode(this.context);
    this.patch = new GainNode(this.context, { gain: 0 });
    this.mediaLevel = new GainNode(this.context, { gain: 0 });
    this.entry = new GainNode(this.context);
    this.out = new GainNode(this.context);
    this.highpass = new BiquadFilterNode(this.context, { type: "highpass" });
    this.lowpass = new BiquadFilterNode(this.context, { type: "lowpass" });
    this.context.createMediaElementSource(this.media).connect(this.mediaLevel).connect(this.entry);
    this.entry.connect(this.direct).connect(this.out).connect(this.context.destination);
    this.entry.connect(this.highpass).connect(this.lowpass).connect(this.patch).connect(this.out);
  }

  // --- what can be played ---------------------------------------------------------------------

  // Loads the parts of a window, which were amplified by their gains. They add up to the original.
  async load({ from, to, kept, rest, keptGain, restGain }) {
    const decoder = new OfflineAudioContext(1, 1, 48000);
    const decode = async (url) => {
      const response = await fetch(url);
      if (!response.ok) throw new Error(`status ${response.status}`);
      return decoder.decodeAudioData(await response.arrayBuffer());
    };
    const buffers = {};
    [buffers.kept, buffers.rest] = await Promise.all([decode(kept), decode(rest)]);
    buffers.original = new AudioBuffer({ length: buffers.kept.length, sampleRate: buffers.kept.sampleRate });
    const [part, others] = [buffers.kept.getChannelData(0), buffers.rest.getChannelData(0)];
    buffers.original.copyToChannel(part.map((sample, at) => sample / keptGain + others[at] / restGain), 0);
    return { from, to: Math.min(to, from + buffers.kept.duration, this.duration), buffers, levels: equalLevels(buffers) };
  }

  // Takes the parts of `load`, or null for none. What is playing goes on.
  use(window) {
    const { playing, voice, time } = this;
    this.window = window;
    if (!window) this.name = "original";
    if (!playing) return;
    if (voice) this.restart(time);
    else ramp(this.mediaLevel.gain, this.mediaLoudness, this.context.currentTime);
  }

  choose(name) {
    if (name === this.name || (name !== "original" && !this.window)) return;
    const { time } = this;
    this.name = name;
    // After the end, a part is played at once.
    if (this.finished && name !== "original") return this.start(this.window.from);
    if (!this.playing) return;
    if (!this.voice) return this.restart(time);
    const now = this.context.currentTime;
    for (const [each, { gain }] of Object.entries(this.voice.gains)) ramp(gain, this.levelOf(each), now);
  }

  levelOf(name) {
    return name === this.name ? this.window.levels[name] : 0;
  }

  // The original outside the window is as loud as in it.
  get mediaLoudness() {
    return this.window?.levels.original ?? 1;
  }

  // --- transport ------------------------------------------------------------------------------

  get time() {
    if (!this.playing) return this.position;
    if (this.voice) return Math.min(this.window.to, this.voice.time + Math.max(0, this.context.currentTime - this.voice.began));
    return Math.min(this.duration, this.media.currentTime);
  }

  // The part of the loop that can be played, or null: the marked part and the rest end with the window.
  get repeated() {
    if (!this.loop || this.until !== null) return null;
    if (this.name === "original") return this.loop;
    const [from, to] = [Math.max(this.loop[0], this.window.from), Math.min(this.loop[1], this.window.to)];
    return from < to - END_S ? [from, to] : null;
  }

  toggle() {
    this.playing ? this.pause() : this.play();
  }

  play() {
    const [from, to] = this.repeated ?? [0, this.duration];
    if (this.position < from || this.position >= to - END_S) this.position = from;
    this.start(this.position);
  }

  pause() {
    this.position = this.time;
    this.playing = false;
    this.until = this.span = null;
    this.hush();
    this.events.state(false);
    this.tick(this.position);
  }

  seek(time) {
    const wanted = Math.max(0, Math.min(this.duration, time));
    if (this.playing) return this.start(wanted);
    this.position = wanted;
    this.finished = false;
    this.tick(wanted);
  }

  // Plays one patch of the spectrogram: its time, through a filter for its frequencies. There is
  // nothing to play in the silence that follows a short clip.
  playPatch({ from, to, low, high }) {
    const end = this.name === "original" ? this.duration : this.window.to;
    if (from >= end - END_S) return;
    const short = Math.max(0, MIN_PATCH_S - (to - from)) / 2;
    this.open();
    this.highpass.frequency.value = low;
    this.lowpass.frequency.value = Math.min(high, this.context.sampleRate / 2);
    this.start(Math.max(0, from - short), Math.min(this.duration, to + short), true);
  }

  // Plays a part of the clip, and stops at its end.
  playSpan(from, to) {
    this.choose("original");
    this.start(from, Math.min(to, this.duration));
    this.span = [from, to];
    this.tick(this.time);
  }

  // Plays on from a time of the clip; a part only within its window.
  playFrom(time) {
    if (this.window && (time < this.window.from || time >= this.window.to - END_S)) this.choose("original");
    this.start(time);
  }

  setLoop(range) {
    this.loop = range;
  }

  // --- sound ----------------------------------------------------------------------------------

  // Starts at a time of the clip; stops at `until`, if given; through the filter of a patch, if
  // `filtered`.
  start(time, until = null, filtered = false) {
    this.open();
    this.context.resume();
    this.hush();
    Object.assign(this, { until, filtered, span: null, finished: false });
    const now = this.context.currentTime;
    ramp(this.direct.gain, filtered ? 0 : 1, now);
    ramp(this.patch.gain, filtered ? 1 : 0, now);
    const inside = this.window && time >= this.window.from && time < this.window.to - END_S;
    if (inside) this.startWindow(time);
    else if (this.name !== "original") this.startWindow((this.repeated?.[0] ?? this.window.from));
    else this.startMedia(time);
    this.playing = true;
    this.events.state(true);
    this.report();
  }

  // Goes on with what is playing, from another sound.
  restart(time) {
    const { until, filtered, span } = this;
    this.start(time, until, filtered);
    this.span = span;
  }

  startWindow(time) {
    const began = this.context.currentTime;
    const voice = { time, began, gains: {}, sources: [] };
    for (const [name, buffer] of Object.entries(this.window.buffers)) {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      voice.gains[name] = new GainNode(this.context, { gain: 0 });
      source.connect(voice.gains[name]).connect(this.entry);
      ramp(voice.gains[name].gain, this.levelOf(name), began);
      source.start(began, time - this.window.from);
      voice.sources.push(source);
    }
    voice.sources[0].addEventListener("ended", () => voice === this.voice && this.windowEnded());
    this.voice = voice;
  }

  startMedia(time) {
    clearTimeout(this.stopping);
    this.media.currentTime = time;
    ramp(this.mediaLevel.gain, this.mediaLoudness, this.context.currentTime);
    // AbortError only means that playback was paused before it started.
    this.media.play().catch((error) => {
      if (error.name !== "AbortError") this.events.failed(UNPLAYABLE);
    });
  }

  // Fades out what is sounding.
  hush() {
    if (!this.context) return;
    const now = this.context.currentTime;
    const { voice } = this;
    this.voice = null;
    if (voice) {
      for (const { gain } of Object.values(voice.gains)) ramp(gain, 0, now);
      for (const source of voice.sources) source.stop(now + 2 * FADE_S);
    }
    if (!this.media.paused) {
      ramp(this.mediaLevel.gain, 0, now);
      clearTimeout(this.stopping);
      this.stopping = setTimeout(() => this.media.pause(), 2000 * FADE_S);
    }
  }

  windowEnded() {
    const { to } = this.window;
    const end = this.until ?? this.repeated?.[1] ?? this.duration;
    this.voice = null;
    if (this.name === "original" && to < end - END_S) this.restart(to);
    else this.ended(to);
  }

  ended(time = this.duration) {
    const { repeated } = this;
    if (repeated) return this.start(repeated[0]);
    this.position = time;
    this.playing = false;
    this.finished = true;
    this.until = this.span = null;
    this.hush();
    this.events.state(false);
    this.tick(time);
  }

  // Reports the time, and again in each frame while the sound plays.
  report() {
    this.tick(this.time);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.follow());
  }

  follow() {
    if (!this.playing) return;
    const { time, repeated } = this;
    if (this.until !== null && time >= this.until) this.pause();
    else if (repeated && time >= repeated[1]) this.start(repeated[0]);
    else this.report();
  }
}

function ramp(parameter, value, now) {
  parameter.cancelScheduledValues(now);
  parameter.setValueAtTime(parameter.value, now);
  parameter.linearRampToValueAtTime(value, now + FADE_S);
}

// The levels at which all buffers are as loud as the quietest of them. A nearly silent one is not
// matched, because the others would become silent too.
function equalLevels(buffers) {
  const loudness = Object.fromEntries(Object.entries(buffers).map(([name, buffer]) => [name, loudest(buffer)]));
  const wanted = Math.max(Math.min(...Object.values(loudness)), loudness.original * 10 ** (-MAX_CUT_DB / 20));
  return Object.fromEntries(Object.entries(loudness).map(([name, value]) => [name, value ? Math.min(1, wanted / value) : 1]));
}

function loudest(buffer) {
  const samples = buffer.getChannelData(0);
  const length = Math.min(samples.length, Math.round(LOUD_PART_S * buffer.sampleRate));
  const step = Math.max(1, Math.floor(length / 4));
  let most = 0;
  for (let start = 0; start + length <= samples.length; start += step) {
    let power = 0;
    for (let at = start; at < start + length; at += 1) power += samples[at] ** 2;
    most = Math.max(most, power / length);
  }
  return Math.sqrt(most);
}

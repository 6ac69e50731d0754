// The waveform of what is playing, drawn from the lowest and highest value of each column.

const WAVE_MAX_PX = 16000;

class Waveform {
  // peaks: lowest and highest value of each column, alternating, for the whole clip.
  constructor(canvas, peaks, duration) {
    this.canvas = canvas;
    this.duration = duration;
    this.columns = peaks.length / 2;
    this.original = peaks;
    this.peaks = peaks;
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(canvas);
  }

  destroy() {
    this.resized.disconnect();
  }

  // Shows the sound of a window on the time axis of the clip, which is silent elsewhere; or, if
  // `buffer` is null, the whole clip.
  show(buffer, from) {
    if (buffer === this.buffer) return;
    this.buffer = buffer;
    this.peaks = buffer ? this.peaksOf(buffer, from) : this.original;
    this.draw();
  }

  peaksOf(buffer, from) {
    const peaks = new Float32Array(2 * this.columns);
    buffer.getChannelData(0).forEach((sample, at) => {
      const column = Math.floor(((from + at / buffer.sampleRate) / this.duration) * this.columns);
      if (column >= this.columns) return;
      peaks[2 * column] = Math.min(peaks[2 * column], sample);
      peaks[2 * column + 1] = Math.max(peaks[2 * column + 1], sample);
    });
    return peaks;
  }

  // The largest value fills the height.
  draw() {
    const { canvas, peaks, columns } = this;
    const ratio = Math.min(devicePixelRatio, WAVE_MAX_PX / canvas.clientWidth);
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(canvas).color;
    const largest = peaks.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    const middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x += 1) {
      const first = Math.floor((x / canvas.width) * columns);
      const last = Math.max(first + 1, Math.floor(((x + 1) / canvas.width) * columns));
      let [low, high] = [0, 0];
      for (let column = first; column < last; column += 1) {
        low = Math.min(low, peaks[2 * column]);
        high = Math.max(high, peaks[2 * column + 1]);
      }
      const top = middle - (high / largest) * middle;
      context.fillRect(x, top, 1, Math.max(ratio, ((high - low) / largest) * middle));
    }
  }
}

// The waveform of what is playing, drawn from the lowest and highest value of each column.

const PART_COLUMNS = 1000;

class Waveform {
  // box: as wide as the time axis; its canvas covers the visible part. peaks: lowest and highest
  // value of each column, alternating, for the whole clip.
  constructor(box, peaks, timeline) {
    this.canvas = box.querySelector("canvas");
    this.timeline = timeline;
    this.pieces = [{ from: 0, to: timeline.duration, peaks }];
    this.largest = largestOf(peaks);
    this.part = null; // of the sound of a window, which is shown alone
  }

  // Adds finer peaks of a part of the clip: { from, to, peaks }.
  add(piece) {
    this.pieces.unshift(piece);
    this.draw();
  }

  // Shows the sound of a window on the time axis of the clip, which is silent elsewhere; or, if
  // `buffer` is null, the whole clip.
  show(buffer, from) {
    if (buffer === this.buffer) return;
    this.buffer = buffer;
    this.part = buffer ? { from, to: from + buffer.duration, peaks: peaksOf(buffer) } : null;
    this.draw();
  }

  // The largest value fills the height.
  draw() {
    const { canvas, timeline } = this;
    const ratio = timeline.fit(canvas);
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(canvas).color;
    const pieces = this.part ? [this.part] : this.pieces;
    const largest = this.part ? largestOf(this.part.peaks) : this.largest;
    const [from, to] = timeline.visible();
    const middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x += 1) {
      const [start, end] = [x, x + 1].map((at) => from + (at / canvas.width) * (to - from));
      const piece = pieces.find((one) => start >= one.from && start < one.to);
      const [low, high] = piece ? extremes(piece, start, end) : [0, 0];
      const top = middle - (high / largest) * middle;
      context.fillRect(x, top, 1, Math.max(ratio, ((high - low) / largest) * middle));
    }
  }
}

// The lowest and the highest value between two times.
function extremes({ from, to, peaks }, start, end) {
  const columns = peaks.length / 2;
  const columnAt = (time) => Math.floor(((time - from) / (to - from)) * columns);
  const first = columnAt(start);
  const last = Math.min(columns, Math.max(first + 1, columnAt(end)));
  let [low, high] = [0, 0];
  for (let column = first; column < last; column += 1) {
    low = Math.min(low, peaks[2 * column]);
    high = Math.max(high, peaks[2 * column + 1]);
  }
  return [low, high];
}

function peaksOf(buffer) {
  const peaks = new Float32Array(2 * PART_COLUMNS);
  const samples = buffer.getChannelData(0);
  samples.forEach((sample, at) => {
    const column = Math.floor((at / samples.length) * PART_COLUMNS);
    peaks[2 * column] = Math.min(peaks[2 * column], sample);
    peaks[2 * column + 1] = Math.max(peaks[2 * column + 1], sample);
  });
  return peaks;
}

function largestOf(peaks) {
  return peaks.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
}

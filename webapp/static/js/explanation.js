// The explanation on the spectrogram: a contour surrounds the marked part, and the rest is dimmed. While a part is played, the spectrogram shows that part.

const DIMMED = 0.8;
const MARKED = 0.5;
// Smaller spots and holes get no contour, nor do spots that are this quiet throughout, where the network has nothing to need. They are dimmed and played like the others.
const MIN_CELLS = 10;
const QUIET = 0.25; // of the range of the colours
const SHORTEST_S = 0.02;

class ExplanationView {
  // window: { from, to } in seconds of the clip. pictures(): the pictures of the clip, finest first.
  constructor(scope, timeline, window, pictures) {
    this.spectrogram = scope.querySelector(".spectrogram");
    this.shade = scope.querySelector("[data-shade]");
    this.outline = scope.querySelector("[data-outline]");
    this.timeline = timeline;
    // A remainder shorter than a column is in no window, but the spectrogram shows it: it belongs to the last one.
    const left = timeline.duration - window.to;
    this.window = left > 0 && left < SHORTEST_S ? { from: window.from, to: timeline.duration } : window;
    this.pictures = pictures;
    this.frames = Number(scope.dataset.frames);
    this.mask = null;
    for (const layer of [this.shade, this.outline]) timeline.place(layer, this.window.from, this.window.to);
  }

  // url: the picture whose opacity is the mask. Resolves when both pictures are there.
  async load(url) {
    const picture = new Image();
    picture.src = url;
    await Promise.all([picture.decode(), this.spectrogram.decode()]);
    const { width, height, data } = pixelsOf(picture);
    return { width, height, values: Float32Array.from({ length: width * height }, (_, at) => data[4 * at + 3] / 255) };
  }

  // mask: of `load`, or null. name: what is played. on: whether the contour and the dimming show.
  draw(mask, name, on, title) {
    const shown = mask && (on || name !== "original");
    this.shade.hidden = !shown;
    this.outline.toggleAttribute("hidden", !(mask && on)); // SVG elements have no such property
    if (!shown) return;
    this.shade.dataset.shade = name;
    this.drawShade(mask, name);
    if (mask !== this.mask) this.drawOutline(mask);
    this.mask = mask;
    this.outline.setAttribute("aria-label", `Contour of the part of the spectrogram that is marked for “${title}”`);
  }

  // The picture under the pointer: the part that is played, or the whole clip.
  get readable() {
    return this.shade.hidden || this.shade.dataset.shade === "original" ? this.spectrogram : this.shade;
  }

  // The original: black over what did not matter. A part: its own spectrogram.
  drawShade(mask, name) {
    const { from, to } = this.window;
    const [width, rows] = [this.frames, this.spectrogram.naturalHeight];
    this.shade.width = width;
    this.shade.height = rows;
    const context = this.shade.getContext("2d", { willReadFrequently: true });
    const drawn = context.createImageData(width, rows);
    const perDecibel = 255 / (this.shade.dataset.high - this.shade.dataset.low);
    for (let column = 0; column < width; column += 1) {
      const source = this.columnAt(from + ((column + 0.5) / width) * (to - from));
      if (!source) break; // the silence that follows a short clip
      for (let row = 0; row < rows; row += 1) {
        const at = 4 * (row * width + column);
        const share = sample(mask, (column + 0.5) / width, (row + 0.5) / rows);
        if (name === "original") {
          drawn.data[at + 3] = Math.round(255 * DIMMED * (1 - share));
          continue;
        }
        const index = indexAt(source.data, 4 * (row * source.width + source.column)) ?? 0;
        const decibels = 20 * Math.log10(Math.max(name === "kept" ? share : 1 - share, 1e-6));
        drawn.data.set(PALETTE[Math.max(0, Math.round(index + decibels * perDecibel))], at);
        drawn.data[at + 3] = 255;
      }
    }
    context.putImageData(drawn, 0, 0);
  }

  // The column of the finest picture at a time: its number, and the pixels of the picture.
  columnAt(time) {
    for (const picture of this.pictures()) {
      const [from, to] = [Number(picture.dataset.from), Number(picture.dataset.to)];
      const { width, data } = pixelsOf(picture);
      const column = Math.floor(((time - from) / (to - from)) * width);
      if (column >= 0 && column < width) return { width, data, column };
    }
    return null;
  }

  drawOutline(mask) {
    const { width, height } = mask;
    this.outline.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const path = edges(withoutSpots(mask, (at) => this.isAudible(mask, at)), width, height);
    for (const line of this.outline.children) line.setAttribute("d", path);
  }

  // Whether the spectrogram is not quiet in the middle of a cell of the mask.
  isAudible({ width, height }, at) {
    const { width: columns, height: rows, data } = pixelsOf(this.spectrogram);
    const { from, to } = this.window;
    const second = from + ((to - from) * ((at % width) + 0.5)) / width;
    const column = Math.floor((columns * second) / this.timeline.duration);
    const row = Math.floor((rows * (Math.floor(at / width) + 0.5)) / height);
    return column < columns && (indexAt(data, 4 * (row * columns + column)) ?? 0) > QUIET * 255;
  }
}

// Interpolates the mask as the worker does; x and y are fractions from the top left.
function sample({ values, width, height }, x, y) {
  const [column, row] = [Math.max(0, x * width - 0.5), Math.max(0, y * height - 0.5)];
  const [left, top] = [Math.floor(column), Math.floor(row)];
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
  const [across, down] = [column - left, row - top];
  const upper = values[top * width + left] * (1 - across) + values[top * width + right] * across;
  const lower = values[bottom * width + left] * (1 - across) + values[bottom * width + right] * across;
  return upper * (1 - down) + lower * down;
}

// Which cells are marked, with small and quiet spots removed and small holes filled.
function withoutSpots({ values, width, height }, isAudible) {
  const marked = Uint8Array.from(values, (value) => value >= MARKED);
  const seen = new Uint8Array(marked.length);
  for (let start = 0; start < marked.length; start += 1) {
    if (seen[start]) continue;
    const area = [start];
    seen[start] = 1;
    for (let next = 0; next < area.length; next += 1) {
      const at = area[next];
      const column = at % width;
      const beside = [at - width, at + width, column ? at - 1 : -1, column < width - 1 ? at + 1 : -1];
      for (const other of beside) {
        if (other < 0 || other >= marked.length || seen[other] || marked[other] !== marked[start]) continue;
        seen[other] = 1;
        area.push(other);
      }
    }
    const nothing = area.length < MIN_CELLS || (marked[start] && !area.some(isAudible));
    if (nothing) for (const at of area) marked[at] = 1 - marked[at];
  }
  return marked;
}

// An SVG path along the edges between marked cells and others; the border of the picture counts.
function edges(marked, width, height) {
  const is = (column, row) => column >= 0 && row >= 0 && column < width && row < height && marked[row * width + column] === 1;
  const path = [];
  for (let row = 0; row <= height; row += 1) {
    for (let column = 0; column <= width; column += 1) {
      if (is(column, row) !== is(column, row - 1) && column < width) path.push(`M${column} ${row}h1`);
      if (is(column, row) !== is(column - 1, row) && row < height) path.push(`M${column} ${row}v1`);
    }
  }
  return path.join("");
}

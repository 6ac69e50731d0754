// Pictures of numeric maps: read the cell under the pointer, and copy a map under the spectrogram.

// The anchors of the worker's palette; a test checks that they are equal.
const MAGMA = `000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81
762181 832681 902a81 9c2e7f aa337d b73779 c23b75 cf4070 db476a e55064 ee5b5e
f4695c f9785d fb8761 fd9668 fea571 feb47b fec287 fed194 fde0a1 fceeb0 fcfdbf`.split(/\s+/);

// Colour → palette index. As in the worker, colours are interpolated linearly between the anchors.
const INDEX_OF = (() => {
  const anchors = MAGMA.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const found = new Map();
  for (let index = 255; index >= 0; index -= 1) {
    const place = (index / 255) * (anchors.length - 1);
    const below = Math.min(Math.floor(place), anchors.length - 2);
    const [red, green, blue] = [0, 1, 2].map((channel) =>
      roundHalfEven(anchors[below][channel] + (place - below) * (anchors[below + 1][channel] - anchors[below][channel])));
    found.set((red << 16) | (green << 8) | blue, index);
  }
  return found;
})();

function roundHalfEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 && floor % 2 === 0 ? floor : Math.round(value);
}

const drawn = new WeakMap();

// The colours of the picture, one pixel per cell; decoded once.
function pixelsOf(element) {
  if (element instanceof HTMLCanvasElement) {
    return element.width ? element.getContext("2d").getImageData(0, 0, element.width, element.height) : null;
  }
  if (!element.complete || !element.naturalWidth) return null;
  if (!drawn.has(element)) {
    const canvas = new OffscreenCanvas(element.naturalWidth, element.naturalHeight);
    const context = canvas.getContext("2d");
    context.drawImage(element, 0, 0);
    drawn.set(element, context.getImageData(0, 0, canvas.width, canvas.height));
  }
  return drawn.get(element);
}

// The cell at (x, y) as text; x and y are fractions of the picture from its top left.
function reading(element, x, y, bands) {
  const pixels = pixelsOf(element);
  if (!pixels) return "";
  const { width, height, data } = pixels;
  const column = Math.min(width - 1, Math.max(0, Math.floor(x * width)));
  const row = Math.min(height - 1, Math.max(0, Math.floor(y * height)));
  const at = 4 * (row * width + column);
  const index = INDEX_OF.get((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
  const { low, high, unit, from, to, channels } = element.dataset;
  const value = index === undefined ? "" : Number(low) + (index / 255) * (Number(high) - Number(low));
  const level = value === "" ? "" : unit ? `${value.toFixed(0).replace("-", "−")} ${unit}` : value.toFixed(2).replace("-", "−");
  if (channels) return `channel ${row * width + column}  ${level}`;
  const second = Number(from) + x * (Number(to) - Number(from));
  const words = [`${second.toFixed(2)} s`, level];
  if (bands.length) words.splice(1, 0, hertz(bands[Math.min(bands.length - 1, Math.floor((1 - (row + 0.5) / height) * bands.length))]));
  return words.join("  ");
}

function hertz(frequency) {
  return frequency >= 1000 ? `${(frequency / 1000).toFixed(frequency < 10000 ? 2 : 1)} kHz` : `${Math.round(frequency)} Hz`;
}

// Copies a picture, or one tile of a sheet, to a canvas with one pixel per cell.
function copyOnto(canvas, image, tile) {
  const [left, top, width, height] = tile ?? [0, 0, image.naturalWidth, image.naturalHeight];
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, left, top, width, height, 0, 0, width, height);
}

// Pictures of numeric maps: read the cell under the pointer, and copy a map under the spectrogram.

// The anchors of the worker's palette; a test checks that they are equal.
const MAGMA = `000004 030312 0a0822 130d34 1d1147 29115a 36106b 440f76 51127c 5d177f 6a1c81
762181 832681 902a81 9c2e7f aa337d b73779 c23b75 cf4070 db476a e55064 ee5b5e
f4695c f9785d fb8761 fd9668 fea571 feb47b fec287 fed194 fde0a1 fceeb0 fcfdbf`.split(/\s+/);

// Palette index → colour. As in the worker, colours are interpolated linearly between the anchors.
const PALETTE = (() => {
  const anchors = MAGMA.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return Array.from({ length: 256 }, (_, index) => {
    const place = (index / 255) * (anchors.length - 1);
    const below = Math.min(Math.floor(place), anchors.length - 2);
    return [0, 1, 2].map((channel) =>
      roundHalfEven(anchors[below][channel] + (place - below) * (anchors[below + 1][channel] - anchors[below][channel])));
  });
})();

// Colour → palette index.
const INDEX_OF = new Map(PALETTE.map(([red, green, blue], index) => [(red << 16) | (green << 8) | blue, index]).reverse());

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

// The palette index of the pixel whose colour begins there; undefined if it is no such colour.
function indexAt(data, at) {
  return INDEX_OF.get((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
}

// The cell of a picture under (x, y), which are fractions of the picture from its top left.
// Returns its row from the top, its column and its value; null while the picture is loading.
function cellAt(element, x, y) {
  const pixels = pixelsOf(element);
  if (!pixels) return null;
  const { width, height, data } = pixels;
  const column = Math.min(width - 1, Math.max(0, Math.floor(x * width)));
  const row = Math.min(height - 1, Math.max(0, Math.floor(y * height)));
  const { low, high } = element.dataset;
  const index = indexAt(data, 4 * (row * width + column));
  const value = index === undefined ? null : Number(low) + (index / 255) * (Number(high) - Number(low));
  return { row, column, width, height, value };
}

function minus(text) {
  return text.replace("-", "−");
}

function hertz(frequency) {
  return frequency >= 1000 ? `${(frequency / 1000).toFixed(frequency < 10000 ? 2 : 1)} kHz` : `${Math.round(frequency)} Hz`;
}

// 192.5 → 3:12.5, as the server writes it.
function clockText(time, decimals = 0) {
  const scale = 10 ** decimals;
  const units = Math.round(time * scale);
  const [hours, minutes] = [Math.floor(units / (3600 * scale)), Math.floor(units / (60 * scale)) % 60];
  const seconds = ((units % (60 * scale)) / scale).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${seconds}` : `${minutes}:${seconds}`;
}

// 0.924 → 92.4 %, never rounded to 0 or 100, as the server writes it.
function percentText(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return `${(share < 1 ? Math.min(100 * share, 99.9) : 100).toFixed(1)} %`;
}

// Copies a picture, or one tile of a sheet, to a canvas with one pixel per cell.
function copyOnto(canvas, image, tile) {
  const [left, top, width, height] = tile ?? [0, 0, image.naturalWidth, image.naturalHeight];
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, left, top, width, height, 0, 0, width, height);
}

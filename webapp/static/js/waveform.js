// The waveform of what is playing, drawn by WaveSurfer from peaks.

class Waveform {
  // peaks: lowest and highest value of each column, alternating, for the whole clip.
  constructor(container, peaks, duration, colour) {
    this.duration = duration;
    this.original = [1, 0].map((first) => peaks.filter((_, at) => at % 2 === first));
    this.wave = WaveSurfer.create({
      container,
      cspNonce: document.querySelector("meta[name=style-nonce]").content,
      height: container.clientHeight,
      waveColor: colour,
      cursorWidth: 0,
      interact: false,
      normalize: true,
      peaks: this.original,
      duration,
    });
  }

  destroy() {
    this.wave.destroy();
  }

  showOriginal() {
    this.wave.setOptions({ peaks: this.original, duration: this.duration });
  }

  // Shows the sound of a window on the time axis of the clip, which is silent elsewhere.
  show(buffer, from) {
    const columns = this.original[0].length;
    const [high, low] = [new Float32Array(columns), new Float32Array(columns)];
    buffer.getChannelData(0).forEach((sample, at) => {
      const column = Math.floor(((from + at / buffer.sampleRate) / this.duration) * columns);
      if (column >= columns) return;
      high[column] = Math.max(high[column], sample);
      low[column] = Math.min(low[column], sample);
    });
    this.wave.setOptions({ peaks: [high, low], duration: this.duration });
  }
}

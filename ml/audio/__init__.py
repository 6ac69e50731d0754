"""Sound files to waveforms: formats, decoding, and the confined decoder process."""

"""Sound files to waveforms: formats, decoding, and the sandboxed decoder process."""
